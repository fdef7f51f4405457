"""The name of every method, but for the ceiling that each table has."""

EVERY = (
    *("topk", "topk-aux", "topk-kmeans", "topk-resorted", "topk-resampled"),
    *("topk-resampled-resorted", "topk-refined", "topk-l1", "batch-topk", "relu-l1"),
    *("jumprelu", "gated", "decoder-decay", "archetypal", "archetypal-random"),
    *("aligned", "consensus", "penalised"),
    *("msae-fixed", "msae-fixed-doubling", "msae-random", "msae-random-free"),
    *("osae", "osae-zipf", "osae-geometric", "osae-massed", "osae-sampled", "osae-annealed"),
    *("osae-aux", "osae-kmeans", "osae-resorted", "osae-swept", "osae-recipe"),
    *("osae-resampled", "osae-refined"),
    *("osae-exact", "osae-exact-by-sample", "osae-exact-resorted", "osae-exact-resampled"),
    "osae-exact-refined",
    *("ksvd", "mod", "minibatch", "kmeans", "pca", "fastica", "samples"),
    *("frozen-decoder", "softly-frozen-decoder", "truth-encoder", "truth-pursuit"),
)
