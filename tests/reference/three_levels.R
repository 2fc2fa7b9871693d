# Reproduces the values of test_three_levels.py: schools in districts (dat.konstantopoulos2011 of metadat).
# Run in this folder: Rscript three_levels.R
library(metafor)
cat("metafor", as.character(packageVersion("metafor")), "\n")
rows <- read.csv("konstantopoulos2011.csv")
fit <- rma.mv(estimate, se^2, random = ~ 1 | district / study, data = rows)
cat("REML effect", fit$beta[1], "se", fit$se, "district", fit$sigma2[1], "school", fit$sigma2[2], "logLik", logLik(fit), "\n")
