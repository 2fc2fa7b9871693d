# A mixture of ordinary and outlying trials, by maximum likelihood: the values in
# test_outlier_mixture.py. The likelihood is that of Beath 2014 (Res Synth Methods 5:285), what the R
# package metaplus maximises with random = "mixture"; metaplus was not available, so it
# is written here. The tests do not run it.
#
#   Rscript outlier_mixture.R      # R 4.2.2, from tests/reference
trials <- read.csv("hackshaw1998.csv")
y <- trials$estimate
se <- trials$se
# One outlying trial.
y[1] <- y[1] + 3
of_kinds <- function(p) {
  mu <- p[1]; sd <- exp(p[2]); ratio <- 1 + exp(p[3]); share <- plogis(p[4])
  list(ordinary = (1 - share) * dnorm(y, mu, sqrt(se^2 + sd^2)),
       outlying = share * dnorm(y, mu, sqrt(se^2 + (ratio * sd)^2)))
}
minus <- function(p) { k <- of_kinds(p); -sum(log(k$ordinary + k$outlying)) }
best <- NULL
for (s in c(-3, -2, -1)) for (r in c(1, 2, 3)) {
  fit <- optim(c(0.2, s, r, -2), minus, method = "BFGS",
               control = list(maxit = 5000, reltol = 1e-14))
  if (is.null(best) || fit$value < best$value) best <- fit
}
p <- best$par
print(c(mu = p[1], sd = exp(p[2]), ratio = 1 + exp(p[3]), share = plogis(p[4]),
        logLik = -best$value), digits = 10)
k <- of_kinds(p)
print(c(outlying_1 = (k$outlying / (k$ordinary + k$outlying))[1],
        outlying_2 = (k$outlying / (k$ordinary + k$outlying))[2]), digits = 10)
# At fixed values, not at the maximum.
p <- c(0.25, log(0.15), log(3 - 1), qlogis(0.2))
print(c(logLik = -minus(p)), digits = 12)
k <- of_kinds(p)
print((k$outlying / (k$ordinary + k$outlying))[1:4], digits = 10)
