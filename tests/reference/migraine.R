# Reproduces migraine.json: the deviance of each curve at its maximum likelihood, on the logit scale.
# Run in this folder: Rscript migraine.R
# Linear models by stats::glm, curves by optim over the formulas of DoseFinding.
library(DoseFinding)
library(splines)
rows <- read.csv("migraine.csv")
dose <- rows$dose; y <- cbind(rows$events, rows$n - rows$events)
full <- sum(dbinom(rows$events, rows$n, rows$events / rows$n, log = TRUE))
data(migraine)
stopifnot(all(migraine$painfree == rows$events), all(migraine$ntrt == rows$n), all(migraine$dose == dose))
lost <- function(eta) -sum(dbinom(rows$events, rows$n, plogis(eta), log = TRUE))
best <- function(curve, starts) {
  found <- sapply(starts, function(start) {
    one <- list(par = start)
    for (i in 1:20) one <- optim(one$par, function(p) lost(curve(p)), control = list(maxit = 20000, reltol = 1e-14))
    one$value
  })
  2 * (min(found) + full)
}
fit <- function(formula) deviance(glm(formula, family = binomial, control = list(epsilon = 1e-12)))
found <- list(
  constant = fit(y ~ I(dose > 0)),
  linear = fit(y ~ dose),
  log_linear = fit(y ~ log(dose + 1)),
  quadratic = fit(y ~ dose + I(dose^2)),
  fractional_polynomial = fit(y ~ sqrt(dose) + dose),
  restricted_cubic_spline = fit(y ~ ns(dose, knots = 20, Boundary.knots = c(2.5, 100))),
  emax = best(function(p) emax(dose, p[1], p[2], exp(p[3])), list(c(-2, 1.5, 1), c(-2, 1.5, 3))),
  sigmoid_emax = best(function(p) sigEmax(dose, p[1], p[2], exp(p[3]), exp(p[4])),
    list(c(-2, 1.5, 2, 0), c(-2, 2, 4, -0.5), c(-2, 1, 2, 2))),
  exponential = best(function(p) exponential(dose, p[1], p[2], exp(p[3])), list(c(-1.5, 0.5, 5), c(-1.5, 0.1, 4))),
  logistic = best(function(p) logistic(dose, p[1], p[2], exp(p[3]), exp(p[4])),
    list(c(-2, 1, 2, 1), c(-2, 1, 1.5, -1), c(-2, 1.5, 4, 3))),
  power = best(function(p) p[1] + p[2] * dose^exp(p[3]), list(c(-2, 0.1, -0.5), c(-2, 0.5, -1))),
  integrated_two_parameter = best(
    function(p) p[1] + p[2] * (1 - exp(-exp(p[3]) * dose)) / (1 - exp(-exp(p[3]) * 200)),
    list(c(-2, 1, -3), c(-2, 1, -1), c(-2, 1, -5)))
)
lines <- sprintf('  "%s": %.6f', names(found), unlist(found))
writeLines(c("{", paste(lines, collapse = ",\n"), "}"), "migraine.json")
cat(R.version.string, "DoseFinding", as.character(packageVersion("DoseFinding")), "\n")
