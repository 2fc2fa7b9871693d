# Reproduces the values of test_rare_events.py: catheter infections (dat.nielweise2007 of metadat) by metafor.
# Run in this folder: Rscript rare_events.R
library(metafor)
cat("metafor", as.character(packageVersion("metafor")), "\n")
rows <- read.csv("nielweise2007.csv")
coated <- rows[rows$agent == "coated", ]
standard <- rows[rows$agent == "standard", ]
stopifnot(coated$study == standard$study)
show <- function(name, fit) {
  cat(name, "effect", fit$beta[1], "se", fit$se[1], "tau2", fit$tau2, "tau", sqrt(fit$tau2), "logLik", logLik(fit), "\n")
}
given <- list(measure = "OR", ai = coated$events, n1i = coated$n, ci = standard$events, n2i = standard$n)
show("normal-normal", do.call(rma, c(given, drop00 = TRUE)))
show("conditional, exact", do.call(rma.glmm, c(given, model = "CM.EL")))
show("unconditional, random", do.call(rma.glmm, c(given, model = "UM.RS")))
