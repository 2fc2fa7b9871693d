# Plain random-effects pools by metafor, for classical.json. The tests read the JSON and do not run
# this.
#
#   Rscript classical.R > classical.json
#
# Needs R with metafor and jsonlite (Debian: r-cran-metafor, r-cran-jsonlite).
suppressMessages({
  library(metafor)
  library(jsonlite)
})

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
cases <- list(
  # Thirteen trials, much heterogeneity.
  bcg = list(y = as.numeric(bcg$yi), v = as.numeric(bcg$vi)),
  # Eight schools: Q below its freedom, so no variance between them.
  eight_schools = list(
    y = c(28, 8, -3, 7, -1, 1, 18, 12), v = c(15, 10, 16, 11, 9, 11, 10, 18)^2
  ),
  # The smallest number of trials that has an interval for a new one; very unequal variances.
  three = list(y = c(-1.266102, -18, -27.7), v = c(60.16, 90, 49.0499)),
  two = list(y = c(0.2, 1.9), v = c(0.04, 0.09)),
  one = list(y = -0.7, v = 0.31)
)

results <- list()
for (name in names(cases)) {
  case <- cases[[name]]
  fit <- rma(case$y, case$v, method = "DL")
  # t with k - 2 degrees of freedom: Higgins, Thompson, Spiegelhalter (2009).
  new <- if (fit$k > 2) predict(fit, pi.type = "riley") else list(pi.lb = NA, pi.ub = NA)
  egger <- if (fit$k >= 10) regtest(case$y, case$v, model = "lm")$pval else NA
  results[[name]] <- list(
    input = case,
    estimate = as.numeric(fit$beta), se = fit$se, lower = fit$ci.lb, upper = fit$ci.ub,
    tau2 = fit$tau2, q = fit$QE, i2 = if (fit$k > 1) fit$I2 / 100 else NA,
    prediction_lower = new$pi.lb, prediction_upper = new$pi.ub,
    weights = as.numeric(weights(fit)) / 100, egger_p = egger
  )
}
results$versions <- list(
  metafor = as.character(packageVersion("metafor")), R = as.character(getRversion())
)
cat(toJSON(results, digits = I(15), auto_unbox = TRUE, pretty = TRUE, na = "null"))
