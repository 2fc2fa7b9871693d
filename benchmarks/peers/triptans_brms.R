# The triptans network in brms, in its usual notation: Rscript triptans_brms.R ARMS.csv OUT
#
# Writes draws.csv (one row per draw) and timings.csv (compiling, sampling with warm-up) to OUT. Priors are
# those of tests/reference/triptans_hierarchical.toml; two chains run at a time.
suppressMessages({ library(brms); library(rstan) })
# Debian installs the Boost headers outside R's library.
if (dir.exists("/usr/include/boost")) {
  rstan_options(boost_lib = "/usr/include", boost_lib2 = "/usr/include")
}
arguments <- commandArgs(trailingOnly = TRUE)
arms <- read.csv(arguments[1], encoding = "UTF-8")
out <- arguments[2]

agents <- setdiff(sort(unique(arms$agent)), "placebo")
arms$arm <- factor(seq_len(nrow(arms)))
arms$study <- factor(arms$study)
# Placebo has dose 0, so the agent assigned to it does not matter.
arms$agent <- factor(ifelse(arms$agent == "placebo", agents[1], arms$agent), levels = agents)

model <- bf(
  events | trials(n) ~ baseline + emax * dose / (dose + exp(led)) + delta,
  baseline ~ 0 + study,
  emax ~ 1 + (1 | agent),
  led ~ 1 + (1 | agent),
  delta ~ 0 + (1 | arm),
  nl = TRUE
)
# An arm's effect has the SD heterogeneity_sd / sqrt(2), and heterogeneity_sd ~ HalfNormal(1).
priors <- c(
  prior(normal(0, 5), nlpar = "baseline"),
  prior(normal(0, 3), nlpar = "emax", coef = "Intercept"),
  prior(normal(0, 1), class = "sd", nlpar = "emax"),
  prior(normal(0, 1), nlpar = "led", coef = "Intercept"),
  prior(normal(0, 0.5), class = "sd", nlpar = "led"),
  prior(normal(0, 0.7071068), class = "sd", nlpar = "delta")
)
compiling <- system.time(
  empty <- brm(model, arms, binomial(), priors, chains = 0, silent = 2, refresh = 0)
)[["elapsed"]]
took <- system.time(
  fit <- update(empty, chains = 4, iter = 2000, warmup = 1000, cores = 2, seed = 1,
                recompile = FALSE, silent = 2, refresh = 0)
)
sampling <- took[["elapsed"]]
processor <- sum(took[c("user.self", "sys.self", "user.child", "sys.child")])

drawn <- as.data.frame(as_draws_df(fit))
emax <- drawn[["b_emax_Intercept"]]
led <- drawn[["b_led_Intercept"]]
kept <- data.frame(
  chain = drawn$.chain, draw = drawn$.iteration,
  emax_location = emax, emax_between_agent = drawn[["sd_agent__emax_Intercept"]],
  log_ed50_location = led, log_ed50_between_agent = drawn[["sd_agent__led_Intercept"]],
  heterogeneity_sd = drawn[["sd_arm__delta_Intercept"]] * sqrt(2)
)
for (agent in agents) {
  kept[[paste0("emax[", agent, "]")]] <- emax + drawn[[paste0("r_agent__emax[", agent, ",Intercept]")]]
  kept[[paste0("ed50[", agent, "]")]] <- exp(led + drawn[[paste0("r_agent__led[", agent, ",Intercept]")]])
}
write.csv(kept, file.path(out, "draws.csv"), row.names = FALSE)
summary(fit)$fixed
write.csv(
  data.frame(
    compiling, sampling, processor,
    divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value),
    version = paste0("brms ", packageVersion("brms"), ", rstan ", packageVersion("rstan"))
  ),
  file.path(out, "timings.csv"), row.names = FALSE
)
