"""The name of every method, but for the ceiling that each table has."""

EVERY = (
    *("topk", "topk-aux", "topk-kmeans", "topk-resorted", "topk-resampled"),
    *("topk-resampled-resorted", "topk-refined", "batch-topk"),
    *("topk-refined-midway", "topk-refined-midway-resorted"),
    *("relu-l1", "topk-l1", "gated", "jumprelu", "penalised"),
    *("msae-fixed", "msae-fixed-doubling", "msae-random", "msae-random-free"),
    *("osae", "osae-zipf", "osae-geometric", "osae-massed", "osae-sampled", "osae-annealed"),
    *("osae-aux", "osae-kmeans", "osae-resorted", "osae-swept", "osae-recipe"),
    *("osae-resampled", "osae-refined"),
    *("osae-exact", "osae-exact-by-sample", "osae-exact-resorted", "osae-exact-resampled"),
    "osae-exact-refined",
    *("aligned", "archetypal", "archetypal-random", "consensus", "decoder-decay"),
    *("ksvd", "mod", "minibatch", "kmeans", "pca", "fastica", "samples"),
    *("frozen-decoder", "softly-frozen-decoder", "truth-encoder", "truth-pursuit"),
)
