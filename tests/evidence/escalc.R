# Effect sizes by metafor's escalc, for escalc.json. The tests read the JSON and do not run this.
#
#   Rscript escalc.R > escalc.json
#
# Needs R with metafor and jsonlite (Debian: r-cran-metafor, r-cran-jsonlite).
suppressMessages({
  library(metafor)
  library(jsonlite)
})

# Continuous: ordinary, very small arms, unequal arms, equal means, negative means, large.
means <- data.frame(
  m1 = c(103.2, 4.1, 0.62, 12.5, -3.1, 251.7), sd1 = c(5.5, 1.9, 0.08, 3.3, 2.2, 60.1),
  n1 = c(50, 3, 12, 20, 8, 1200),
  m2 = c(100.0, 5.6, 0.31, 12.5, -5.4, 260.2), sd2 = c(4.5, 2.7, 0.05, 4.1, 1.7, 58.8),
  n2 = c(50, 4, 40, 21, 9, 1180)
)
# Counts: no empty cell, no event in the arm, none in the comparator, none at all, everyone in the
# arm, everyone in both, one person an arm.
counts <- data.frame(
  a = c(12, 0, 5, 0, 9, 10, 1, 47), n1 = c(40, 20, 18, 15, 9, 10, 1, 300),
  c = c(5, 4, 0, 0, 3, 12, 0, 81), n2 = c(38, 22, 17, 16, 11, 12, 1, 310)
)
rates <- data.frame(
  x1 = c(15, 0, 7, 0), t1 = c(120.5, 40, 33.3, 21), x2 = c(9, 3, 0, 0), t2 = c(118, 44.5, 30, 22)
)
# The same people twice: sd1 is the SD before treatment (SMCR's unit).
change <- data.frame(
  after = c(42.1, 3.3, 6.5, 80), before = c(55.7, 4.9, 7.0, 80),
  sd_after = c(14.2, 1.1, 2.21, 9), sd_before = c(12.9, 1.6, 2.38, 11),
  n = c(30, 4, 10, 200), r = c(0.6, 0, 0.68, -0.3)
)
crossover <- data.frame(
  a = c(12, 20, 0, 7, 15), c = c(6, 20, 3, 10, 22), n = c(25, 41, 12, 10, 60),
  r = c(0.5, 0, 0.2, 0.1, -0.25)
)

results <- list()
keep <- function(name, input, fit) {
  results[[name]] <<- list(input = input, estimate = as.numeric(fit$yi), variance = as.numeric(fit$vi))
}
of_means <- function(measure, vtype = "LS") {
  with(means, escalc(measure, m1i = m1, sd1i = sd1, n1i = n1, m2i = m2, sd2i = sd2, n2i = n2,
                     vtype = vtype))
}
of_counts <- function(measure, add) {
  suppressWarnings(with(counts, escalc(measure, ai = a, n1i = n1, ci = c, n2i = n2, add = add,
                                       to = if (add == 0) "none" else "only0")))
}
of_rates <- function(add) {
  suppressWarnings(with(rates, escalc("IRR", x1i = x1, t1i = t1, x2i = x2, t2i = t2, add = add,
                                      to = if (add == 0) "none" else "only0")))
}
keep("MD", means, of_means("MD"))
keep("SMD_large_sample", means, of_means("SMD"))
keep("SMD_exact", means, of_means("SMD", "UB"))
keep("ROM", means, of_means("ROM"))
for (measure in c("OR", "RR", "RD")) {
  keep(measure, counts, of_counts(measure, 0))
  keep(paste0(measure, "_half"), counts, of_counts(measure, 0.5))
}
keep("PLO_half", counts, with(counts, escalc("PLO", xi = a, ni = n1, add = 0.5, to = "only0")))
keep("IRLN_half", rates, with(rates, escalc("IRLN", xi = x1, ti = t1, add = 0.5, to = "only0")))
keep("IRR", rates, of_rates(0))
keep("IRR_half", rates, of_rates(0.5))
keep("MC", change, with(change, escalc("MC", m1i = after, sd1i = sd_after, m2i = before,
                                       sd2i = sd_before, ni = n, ri = r)))
keep("SMCC", change, with(change, escalc("SMCC", m1i = after, sd1i = sd_after, m2i = before,
                                         sd2i = sd_before, ni = n, ri = r)))
keep("SMCR", change, with(change, escalc("SMCR", m1i = after, sd1i = sd_before, m2i = before,
                                         ni = n, ri = r)))
keep("MPORM_half", crossover, with(crossover, escalc("MPORM", ai = a, bi = n - a, ci = c, di = n - c,
                                                     ri = r, add = 0.5, to = "only0")))

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")))
cat(toJSON(list(versions = versions, results = results), dataframe = "columns", auto_unbox = TRUE,
           digits = NA, na = "null", pretty = TRUE), "\n", sep = "")
