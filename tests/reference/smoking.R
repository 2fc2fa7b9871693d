# Reproduces the rows of "smoking" in pinned.json: the random-effects network of Hasselblad 1998 by JAGS.
# Run in this folder: Rscript smoking.R
library(rjags)
rows <- read.csv("smoking.csv")
study <- as.integer(factor(rows$study, levels = unique(rows$study)))
agents <- c("grp_counseling", "ind_counseling", "self_help")
agent <- match(rows$agent, agents)
agent[is.na(agent)] <- 4
model <- "model {
  for (i in 1:N) {
    r[i] ~ dbin(p[i], n[i])
    logit(p[i]) <- mu[study[i]] + d[agent[i]] + delta[i]
    delta[i] ~ dnorm(0, 2 / (tau * tau))
  }
  for (s in 1:S) { mu[s] ~ dnorm(0, 1.0E-4) }
  for (a in 1:3) { d[a] ~ dnorm(0, 1.0E-4) }
  d[4] <- 0
  tau ~ dnorm(0, 1 / 25) T(0,)
}"
data <- list(r = rows$events, n = rows$n, study = study, agent = agent, N = nrow(rows), S = max(study))
inits <- lapply(1:4, function(i) list(.RNG.name = "base::Mersenne-Twister", .RNG.seed = i))
fit <- jags.model(textConnection(model), data, inits, n.chains = 4, n.adapt = 2000, quiet = TRUE)
update(fit, 5000, progress.bar = "none")
draws <- coda.samples(fit, c("d", "tau"), n.iter = 100000, thin = 10, progress.bar = "none")
all <- as.matrix(draws)
ess <- effectiveSize(draws)
for (name in c("d[1]", "d[2]", "d[3]", "tau")) {
  x <- all[, name]
  cat(name, signif(c(mean(x), sd(x), quantile(x, c(0.025, 0.5, 0.975)), ess[name]), 6), "\n")
}
cat(R.version.string, "rjags", as.character(packageVersion("rjags")), "JAGS", as.character(jags.version()), "\n")
