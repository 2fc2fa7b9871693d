# The triptans network in JAGS, written by hand: Rscript triptans_jags.R ARMS.csv OUT
#
# Writes draws.csv (one row per draw) and timings.csv (compiling, sampling with burn-in) to OUT. Priors are
# those of tests/reference/triptans_hierarchical.toml. rjags runs its chains one after another, so
# two processes run two each.
suppressMessages({ library(rjags); library(parallel) })
arguments <- commandArgs(trailingOnly = TRUE)
arms <- read.csv(arguments[1], encoding = "UTF-8")
out <- arguments[2]

agents <- setdiff(sort(unique(arms$agent)), "placebo")
content <- list(
  events = arms$events, n = arms$n, dose = arms$dose,
  study = as.integer(factor(arms$study)),
  agent = ifelse(arms$agent == "placebo", 1, match(arms$agent, agents)),  # dose 0: no effect
  arms = nrow(arms), studies = length(unique(arms$study)), agents = length(agents)
)
# JAGS parameterises normals by precision.
model <- "model {
  for (i in 1:arms) {
    events[i] ~ dbin(p[i], n[i])
    logit(p[i]) <- baseline[study[i]] + emax[agent[i]] * dose[i] / (dose[i] + ed50[agent[i]]) + delta[i]
    delta[i] ~ dnorm(0, 2 / heterogeneity_sd^2)
  }
  for (j in 1:studies) { baseline[j] ~ dnorm(0, 1 / 5^2) }
  for (a in 1:agents) {
    emax[a] ~ dnorm(emax_location, 1 / emax_between_agent^2)
    log_ed50[a] ~ dnorm(log_ed50_location, 1 / log_ed50_between_agent^2)
    ed50[a] <- exp(log_ed50[a])
  }
  emax_location ~ dnorm(0, 1 / 3^2)
  emax_between_agent ~ dnorm(0, 1) T(0,)
  log_ed50_location ~ dnorm(0, 1)
  log_ed50_between_agent ~ dnorm(0, 1 / 0.5^2) T(0,)
  heterogeneity_sd ~ dnorm(0, 1) T(0,)
}"
monitored <- c("ed50", "emax", "log_ed50_location", "emax_location", "log_ed50_between_agent",
               "emax_between_agent", "heterogeneity_sd")
draws <- 25000
chains <- function(which) {
  seeds <- lapply(which, function(chain) list(.RNG.name = "base::Mersenne-Twister", .RNG.seed = chain))
  started <- proc.time()[["elapsed"]]
  jags <- jags.model(textConnection(model), content, seeds, length(which), n.adapt = 0, quiet = TRUE)
  compiled <- proc.time()[["elapsed"]]
  used <- sum(proc.time()[c("user.self", "sys.self")])
  adapt(jags, 1000, progress.bar = "none")
  update(jags, 4000, progress.bar = "none")
  drawn <- coda.samples(jags, monitored, n.iter = draws, progress.bar = "none")
  list(drawn = drawn, compiling = compiled - started, sampling = proc.time()[["elapsed"]] - compiled,
       processor = sum(proc.time()[c("user.self", "sys.self")]) - used)
}
done <- mclapply(list(1:2, 3:4), chains, mc.cores = 2)
drawn <- do.call(c, lapply(done, `[[`, "drawn"))
summary(as.mcmc.list(drawn))$statistics
kept <- do.call(rbind, lapply(1:4, function(chain) {
  data.frame(chain = chain, draw = seq_len(draws), as.data.frame(as.matrix(drawn[[chain]])), check.names = FALSE)
}))
for (a in seq_along(agents)) names(kept) <- sub(paste0("[", a, "]"), paste0("[", agents[a], "]"), names(kept), fixed = TRUE)
write.csv(kept, file.path(out, "draws.csv"), row.names = FALSE)
write.csv(
  data.frame(
    compiling = max(sapply(done, `[[`, "compiling")), sampling = max(sapply(done, `[[`, "sampling")),
    processor = sum(sapply(done, `[[`, "processor")), divergences = 0, version = paste("JAGS", jags.version(), "rjags", packageVersion("rjags"))
  ),
  file.path(out, "timings.csv"), row.names = FALSE
)
