"""What is written for readers: tables, figures, the page of latents, the results folder."""
