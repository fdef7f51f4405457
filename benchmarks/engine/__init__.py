"""From runs that are wanted to runs that are stored: plan, tasks, and what carries them out."""
