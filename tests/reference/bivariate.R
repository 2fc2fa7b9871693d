# Reproduces the values of test_bivariate.py: periodontal disease, two outcomes (dat.berkey1998 of metadat).
# Run in this folder: Rscript bivariate.R
library(metafor)
cat("metafor", as.character(packageVersion("metafor")), "\n")
rows <- read.csv("berkey1998.csv")
trial <- as.integer(factor(rows$study, levels = unique(rows$study)))
same <- outer(trial, trial, "==")
V <- ifelse(same, outer(rows$se, rows$se) * rows$error_correlation, 0)
diag(V) <- rows$se^2
for (method in c("ML", "REML")) {
  fit <- rma.mv(estimate, V, mods = ~ outcome - 1, random = ~ outcome | trial, struct = "UN", data = cbind(rows, trial), method = method)
  cat(method, rownames(fit$beta), "effects", format(c(fit$beta), digits = 9), "se", format(fit$se, digits = 9), "tau2", format(fit$tau2, digits = 9), "rho", format(fit$rho, digits = 9), "logLik", format(c(logLik(fit)), digits = 9), "\n")
}
