# Selection for publication by steps of the one-sided p-value, and regressions on the standard error,
# by maximum likelihood: the numbers in test_bias.py. The tests do not run it.
#
#   Rscript selection.R      # R 4.2.2, metafor 3.8-1, metadat 1.2-0
library(metafor)
show <- function(name, fit) {
  cat(name, "\n")
  print(c(beta = fit$beta[1], se = fit$se[1], tau2 = fit$tau2, logLik = as.numeric(logLik(fit))), digits = 10)
  print(fit$delta, digits = 10)
}
# Environmental tobacco smoke and lung cancer, 37 studies: log odds ratios and their variances.
hackshaw <- dat.hackshaw1998
ml <- rma(yi, vi, data = hackshaw, method = "ML")
show("hackshaw, no selection", ml)
show("hackshaw, steps 0.025 0.5", selmodel(ml, type = "stepfun", alternative = "greater", steps = c(0.025, 0.5)))
show("hackshaw, step 0.1", selmodel(ml, type = "stepfun", alternative = "greater", steps = 0.1))
# BCG, 13 trials: log risk ratios, protection below 0.
bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
ml <- rma(yi, vi, data = bcg, method = "ML")
show("bcg, step 0.025", selmodel(ml, type = "stepfun", alternative = "less", steps = 0.025))
# Regression on the standard error.
show_reg <- function(name, fit) { cat(name, "\n"); print(coef(summary(fit)), digits = 10); cat("tau2", format(fit$tau2, digits=10), "\n") }
show_reg("hackshaw, ML, mods = ~ sqrt(vi)", rma(yi, vi, mods = ~ sqrt(vi), data = hackshaw, method = "ML"))
show_reg("hackshaw, FE, mods = ~ sqrt(vi)", rma(yi, vi, mods = ~ sqrt(vi), data = hackshaw, method = "FE"))
print(regtest(rma(yi, vi, data = hackshaw, method = "ML"), model = "rma", predictor = "sei"))
write.csv(
  data.frame(study = paste(hackshaw$author, hackshaw$year), agent = "smoke", comparator = "none",
             estimate = signif(hackshaw$yi, 12), se = signif(sqrt(hackshaw$vi), 12)),
  "hackshaw1998.csv", row.names = FALSE, quote = FALSE
)
