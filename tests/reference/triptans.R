# Reference fits of the triptans network in JAGS, from which triptans_hierarchical.csv and the
# values for a common ED50 in pinned.json can be reproduced. The tests do not run it.
#
#   Rscript triptans.R hierarchical 200000    # or common, vague; draws of each of 4 chains
#
# Needs R with rjags and coda (Debian: jags, r-cran-rjags). Prints the columns of the pinned table.
suppressMessages(library(rjags))

arguments <- commandArgs(trailingOnly = TRUE)
which <- if (length(arguments) > 0) arguments[1] else "hierarchical"
draws <- if (length(arguments) > 1) as.integer(arguments[2]) else 200000

arms <- read.csv("triptans.csv", encoding = "UTF-8")
agents <- setdiff(sort(unique(arms$agent)), "placebo")
content <- list(
  events = arms$events, n = arms$n, dose = arms$dose,
  study = as.integer(factor(arms$study)),
  agent = ifelse(arms$agent == "placebo", 1, match(arms$agent, agents)),  # dose 0: no effect
  arms = nrow(arms), studies = length(unique(arms$study)), agents = length(agents)
)

# delta: each arm's effect N(0, tau^2 / 2), so that a contrast has variance tau^2 and two contrasts
# of one trial the correlation 1/2. JAGS writes a normal with its precision.
trial <- "
  for (i in 1:arms) {
    events[i] ~ dbin(p[i], n[i])
    logit(p[i]) <- baseline[study[i]] + emax[agent[i]] * dose[i] / (dose[i] + ed50[agent[i]]) + delta[i]
    delta[i] ~ dnorm(0, 2 / heterogeneity_sd^2)
  }
  heterogeneity_sd ~ dnorm(0, 1) T(0,)
"
parameters <- list(
  hierarchical = "
    for (j in 1:studies) { baseline[j] ~ dnorm(0, 1 / 5^2) }
    for (a in 1:agents) {
      emax[a] <- emax_location + emax_between_agent * emax_z[a]
      log(ed50[a]) <- log_ed50_location + log_ed50_between_agent * ed50_z[a]
      emax_z[a] ~ dnorm(0, 1)
      ed50_z[a] ~ dnorm(0, 1)
    }
    emax_location ~ dnorm(0, 1 / 3^2)
    emax_between_agent ~ dnorm(0, 1) T(0,)
    log_ed50_location ~ dnorm(0, 1)
    log_ed50_between_agent ~ dnorm(0, 1 / 0.5^2) T(0,)
  ",
  common = "
    for (j in 1:studies) { baseline[j] ~ dnorm(0, 1 / 10^2) }
    for (a in 1:agents) {
      emax[a] ~ dnorm(0, 1 / 5^2)
      log(ed50[a]) <- log_ed50
    }
    log_ed50 ~ dnorm(0, 1)
  ",
  vague = "
    for (j in 1:studies) { baseline[j] ~ dnorm(0, 1 / 100^2) }
    for (a in 1:agents) {
      emax[a] ~ dnorm(0, 1 / 100^2)
      ed50[a] ~ dnorm(0, 1 / 100^2) T(0,)
    }
  "
)
monitored <- list(
  hierarchical = c("ed50", "emax", "log_ed50_location", "emax_location",
                   "log_ed50_between_agent", "emax_between_agent", "heterogeneity_sd"),
  common = c("ed50", "emax", "heterogeneity_sd"),
  vague = c("ed50", "emax", "heterogeneity_sd")
)

seeds <- lapply(1:4, function(chain) list(.RNG.name = "base::Mersenne-Twister", .RNG.seed = chain))
model <- jags.model(
  textConnection(paste("model {", trial, parameters[[which]], "}")),
  data = content, inits = seeds, n.chains = 4, n.adapt = 2000, quiet = TRUE
)
update(model, 5000, progress.bar = "none")
drawn <- coda.samples(model, monitored[[which]], n.iter = draws, progress.bar = "none")

all <- as.matrix(drawn)
place <- as.integer(sub(".*\\[([0-9]+)\\].*|.*", "\\1", colnames(all)))
made <- data.frame(
  variable = sub("\\[.*", "", colnames(all)),
  agent = ifelse(is.na(place), "", agents[place]),
  mean = colMeans(all), sd = apply(all, 2, sd),
  t(apply(all, 2, quantile, c(0.025, 0.5, 0.975))),
  ess = effectiveSize(drawn), check.names = FALSE
)
names(made)[5:7] <- c("q2.5", "q50", "q97.5")
write.csv(format(made, digits = 6), row.names = FALSE, quote = FALSE)
cat(R.version.string, "rjags", as.character(packageVersion("rjags")), "JAGS",
    as.character(jags.version()), "\n", file = stderr())
