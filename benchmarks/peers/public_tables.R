# Reference answers for public tables, with metafor (and lme4 for networks of counts).
#
#   Rscript benchmarks/peers/public_tables.R OUT.json FOLDER...
#
# Each FOLDER holds data sets as their packages export them (write.csv(x, row.names = FALSE)), named
# PACKAGE__NAME.csv. OUT.json gets one entry per table and question: the trials' numbers as they enter
# the analysis, the pooled effect by REML, and for counts the exact conditional model (rma.glmm, CM.EL).
suppressMessages({library(metafor); library(lme4); library(jsonlite)})

counts <- function(a, n1, c, n2) {
  ok <- complete.cases(a, n1, c, n2)
  list(kind = "counts", scale = "log odds ratio", a = a[ok], n1 = n1[ok], c = c[ok], n2 = n2[ok])
}
given <- function(yi, vi, scale) {
  ok <- complete.cases(yi, vi) & vi > 0
  list(kind = "effects", scale = scale, yi = as.numeric(yi[ok]), vi = as.numeric(vi[ok]))
}
of_escalc <- function(e, scale) given(e$yi, e$vi, scale)
means <- function(m1, s1, n1, m2, s2, n2, measure = "MD") {
  e <- escalc(measure, m1i = m1, sd1i = s1, n1i = n1, m2i = m2, sd2i = s2, n2i = n2)
  of_escalc(e, c(MD = "mean difference", SMD = "standardised mean difference",
                 ROM = "log ratio of means")[[measure]])
}
rates <- function(x1, t1, x2, t2) {
  ok <- complete.cases(x1, t1, x2, t2)
  list(kind = "rates", scale = "log rate ratio", x1 = x1[ok], t1 = t1[ok], x2 = x2[ok], t2 = t2[ok])
}
correlations <- function(r, n) of_escalc(escalc("ZCOR", ri = r, ni = n), "Fisher z")
proportions <- function(x, n) {
  ok <- complete.cases(x, n)
  list(kind = "proportions", scale = "log odds", x = x[ok], n = n[ok])
}
# Networks hold one row per arm, or per contrast.
arms_of_counts <- function(study, agent, r, n, reference) {
  ok <- complete.cases(study, agent, r, n)
  list(kind = "arm_counts", scale = "log odds ratio", study = as.character(study)[ok],
       agent = as.character(agent)[ok], r = r[ok], n = n[ok], reference = reference)
}
arms_of_means <- function(study, agent, y, v, reference) {
  ok <- complete.cases(study, agent, y, v)
  list(kind = "arm_means", scale = "mean difference", study = as.character(study)[ok],
       agent = as.character(agent)[ok], y = y[ok], v = v[ok], reference = reference)
}
contrasts_of <- function(study, t1, t2, y, se, reference, scale) {
  ok <- complete.cases(study, t1, t2, y, se)
  list(kind = "contrasts", scale = scale, study = as.character(study)[ok], t1 = as.character(t1)[ok],
       t2 = as.character(t2)[ok], y = y[ok], se = se[ok], reference = reference)
}
long <- function(x, agents, values) { # side by side -> one row per arm; blank agents are dropped
  rows <- do.call(rbind, lapply(seq_along(agents), function(k) {
    part <- data.frame(row = seq_len(nrow(x)), agent = as.character(x[[agents[k]]]))
    for (v in names(values)) part[[v]] <- x[[values[[v]][k]]]
    part
  }))
  rows[!is.na(rows$agent) & rows$agent != "", ]
}

tables <- list(
  dat.bcg = function(x) counts(x$tpos, x$tpos + x$tneg, x$cpos, x$cpos + x$cneg),
  dat.colditz1994 = function(x) counts(x$tpos, x$tpos + x$tneg, x$cpos, x$cpos + x$cneg),
  dat.anand1999 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.axfors2021 = function(x) counts(x$hcq_arm_event, x$hcq_arm_total, x$control_arm_event, x$control_arm_total),
  dat.bornmann2007 = function(x) counts(x$waward, x$wtotal, x$maward, x$mtotal),
  dat.bassler2004 = function(x) counts(x$Ee, x$Ne, x$Ec, x$Nc),
  dat.damico2009 = function(x) counts(x$xt, x$nt, x$xc, x$nc),
  dat.dorn2007 = function(x) counts(x$x.a, x$n.a, x$x.p, x$n.p),
  dat.egger2001 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.graves2010 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.hahn2001 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.hartmannboyce2018 = function(x) counts(x$x.nrt, x$n.nrt, x$x.ctrl, x$n.ctrl),
  dat.hine1989 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.landenberger2005 = function(x) counts(x$n.cbt.rec, x$n.cbt.rec + x$n.cbt.non, x$n.ctrl.rec, x$n.ctrl.rec + x$n.ctrl.non),
  dat.laopaiboon2015 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.lau1992 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.lee2004 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.li2007 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.linde2005 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.nielweise2007 = function(x) counts(x$ai, x$n1i, x$ci, x$n2i),
  dat.thompson1999 = function(x) counts(x$ihd.exp, x$ihd.exp + x$noihd.exp, x$ihd.cont, x$ihd.cont + x$noihd.cont),
  dat.vanhowe1999 = function(x) counts(x$non.pos, x$non.pos + x$non.neg, x$cir.pos, x$cir.pos + x$cir.neg),
  dat.viechtbauer2021 = function(x) counts(x$xTi, x$nTi, x$xCi, x$nCi),
  "dat.yusuf1985 table 6" = function(x) { x <- x[x$table == "6", ]; counts(x$ai, x$n1i, x$ci, x$n2i) },
  "dat.cannon2006 ep1" = function(x) counts(x$ep1t, x$nt, x$ep1c, x$nc),
  "dat.collins1985a bleeding" = function(x) counts(x$b.xti, x$nti, x$b.xci, x$nci),
  "dat.collins1985b pre-eclampsia" = function(x) counts(x$pre.xti, x$pre.nti, x$pre.xci, x$pre.nci),
  "dat.tian2009 infarcts" = function(x) {
    t <- x[x$group != "Control", ]; c <- x[x$group == "Control", ]; c <- c[match(t$study, c$study), ]
    counts(t$infarcts, t$n, c$infarcts, c$n)
  },
  "dat.tian2009 deaths" = function(x) {
    t <- x[x$group != "Control", ]; c <- x[x$group == "Control", ]; c <- c[match(t$study, c$study), ]
    counts(t$deaths, t$n, c$deaths, c$n)
  },
  Fleiss1993bin = function(x) counts(x$d.asp, x$n.asp, x$d.plac, x$n.plac),
  Olkin95 = function(x) counts(x$event.e, x$n.e, x$event.c, x$n.c),
  cisapride = function(x) counts(x$event.cisa, x$n.cisa, x$event.plac, x$n.plac),
  BCG = function(x) counts(x$BCGTB, x$BCGVacc, x$NoVaccTB, x$NoVacc),
  aspirin = function(x) counts(as.numeric(x$da), as.numeric(x$ta), as.numeric(x$dp), as.numeric(x$tp)),
  smoking = function(x) counts(x$qt, x$tt, x$qc, x$tc),
  epi.epidural = function(x) counts(x$ev.trt, x$n.trt, x$ev.ctrl, x$n.ctrl),
  toothpaste = function(x) means(x$meanA, x$sdA, x$nA, x$meanB, x$sdB, x$nB),
  dat.hart1999 = function(x) rates(x$x1i, x$t1i, x$x2i, x$t2i),
  dat.nielweise2008 = function(x) rates(x$x1i, x$t1i, x$x2i, x$t2i),
  dat.normand1999 = function(x) means(x$m1i, x$sd1i, x$n1i, x$m2i, x$sd2i, x$n2i),
  dat.michael2013 = function(x) means(x$Brain_m, x$Brain_s, x$Brain_n, x$No_brain_m, x$No_brain_s, x$No_brain_n),
  "dat.michael2013 SMD" = function(x) means(x$Brain_m, x$Brain_s, x$Brain_n, x$No_brain_m, x$No_brain_s, x$No_brain_n, "SMD"),
  dat.spooner2002 = function(x) means(x$Me, x$Se, x$Ne, x$Mc, x$Sc, x$Nc),
  "dat.gibson2002 SMD" = function(x) means(x$m1i, x$sd1i, x$n1i, x$m2i, x$sd2i, x$n2i, "SMD"),
  "dat.curtis1998 ROM" = function(x) means(x$m1i, x$sd1i, x$n1i, x$m2i, x$sd2i, x$n2i, "ROM"),
  Fleiss93cont = function(x) means(x$mean.e, x$sd.e, x$n.e, x$mean.c, x$sd.c, x$n.c),
  "Fleiss93cont SMD" = function(x) means(x$mean.e, x$sd.e, x$n.e, x$mean.c, x$sd.c, x$n.c, "SMD"),
  dat.bangertdrowns2004 = function(x) given(x$yi, x$vi, "standardised mean difference"),
  dat.baskerville2012 = function(x) given(x$smd, x$se^2, "standardised mean difference"),
  dat.hackshaw1998 = function(x) given(x$yi, x$vi, "log odds ratio"),
  dat.raudenbush1985 = function(x) given(x$yi, x$vi, "standardised mean difference"),
  dat.pignon2000 = function(x) given(x$OmE / x$V, 1 / x$V, "log hazard ratio"),
  "dat.riley2003 OS" = function(x) { x <- x[x$outcome == "OS", ]; given(x$yi, x$vi, "log hazard ratio") },
  "dat.riley2003 DFS" = function(x) { x <- x[x$outcome == "DFS", ]; given(x$yi, x$vi, "log hazard ratio") },
  "dat.berkey1998 PD" = function(x) { x <- x[x$outcome == "PD", ]; given(x$yi, x$vi, "mean difference") },
  "dat.berkey1998 AL" = function(x) { x <- x[x$outcome == "AL", ]; given(x$yi, x$vi, "mean difference") },
  "dat.kalaian1996 verbal" = function(x) { x <- x[x$outcome == "verbal", ]; given(x$yi, x$vi, "standardised mean difference") },
  "dat.kalaian1996 math" = function(x) { x <- x[x$outcome == "math", ]; given(x$yi, x$vi, "standardised mean difference") },
  dat.meeker2017 = function(x) given(x$mean, x$se^2, "mean"),
  dat.bauer2002 = function(x) given(x$wmwstat, x$stderr^2, "probability"),
  dat.cohen1981 = function(x) correlations(x$ri, x$ni),
  dat.molloy2014 = function(x) correlations(x$ri, x$ni),
  dat.mcdaniel1994 = function(x) correlations(x$ri, x$ni),
  dat.nakagawa2007 = function(x) correlations(x$Correlation, x$SampleSize),
  dat.pritz1997 = function(x) proportions(x$xi, x$ni),
  dat.debruin2009 = function(x) proportions(x$xi, x$ni),
  dat.hannum2020 = function(x) proportions(x$xi, x$ni),
  dat.crisafulli2020 = function(x) proportions(x$cases, x$total),
  dat.baker2009 = function(x) arms_of_counts(x$study, x$treatment, x$exac, x$total, "Placebo"),
  Baker2009 = function(x) arms_of_counts(x$study, x$treatment, x$exac, x$total, "Placebo"),
  dat.dogliotti2014 = function(x) arms_of_counts(x$study, x$treatment, x$stroke, x$total, "Placebo/Control"),
  dat.dong2013 = function(x) arms_of_counts(x$id, x$treatment, x$death, x$randomized, "Placebo"),
  Dong2013 = function(x) arms_of_counts(x$id, x$treatment, x$death, x$randomized, "Placebo"),
  dat.gurusamy2011 = function(x) arms_of_counts(x$study, x$treatment, x$death, x$n, "Control/Placebo"),
  Gurusamy2011 = function(x) arms_of_counts(x$study, x$treatment, x$death, x$n, "Control/Placebo"),
  dat.hasselblad1998 = function(x) arms_of_counts(x$study, x$trt, x$xi, x$ni, "no_contact"),
  dat.pagliaro1992 = function(x) arms_of_counts(x$study, x$trt, x$xi, x$ni, "control"),
  Pagliaro1992 = function(x) { # the placebo arm of a trial with two agents is written in both rows
    arms <- rbind(data.frame(id = x$id, agent = x$treat.exp, r = x$bleed.exp, n = x$n.exp),
                  unique(data.frame(id = x$id, agent = "plac", r = x$bleed.plac, n = x$n.plac)))
    arms_of_counts(arms$id, arms$agent, arms$r, arms$n, "plac")
  },
  dat.woods2010 = function(x) arms_of_counts(x$author, x$treatment, x$r, x$N, "Placebo"),
  "dat.linde2015 response" = function(x) {
    x$row <- x$id
    arms <- long(x, paste0("treatment", 1:3), list(r = paste0("resp", 1:3), n = paste0("n", 1:3)))
    arms_of_counts(arms$row, arms$agent, arms$r, arms$n, "Placebo")
  },
  dat.senn2013 = function(x) arms_of_means(x$study, x$treatment, x$mi, x$sdi^2 / x$ni, "placebo"),
  dat.franchini2012 = function(x) {
    arms <- long(x, paste0("Treatment", 1:3), list(y = paste0("y", 1:3), s = paste0("sd", 1:3), n = paste0("n", 1:3)))
    arms_of_means(x$Study[arms$row], arms$agent, arms$y, arms$s^2 / arms$n, "Placebo")
  },
  dat.stowe2010 = function(x) {
    arms <- long(x, paste0("t", 1:3), list(y = paste0("y", 1:3), s = paste0("sd", 1:3), n = paste0("n", 1:3)))
    arms_of_means(arms$row, arms$agent, arms$y, arms$s^2 / arms$n, "Placebo")
  },
  continuous_long = function(x) arms_of_means(x$Study, x$T, x$Mean, x$SD^2 / x$N, "Placebo"),
  continuous_wide = function(x) {
    arms <- long(x, c("T.1", "T.2"), list(y = c("Mean.1", "Mean.2"), s = c("SD.1", "SD.2"), n = c("N.1", "N.2")))
    arms_of_means(x$Study[arms$row], arms$agent, arms$y, arms$s^2 / arms$n, "Placebo")
  },
  dat.linde2016 = function(x) contrasts_of(x$id, x$treat1, x$treat2, x$lnOR, x$selnOR, "Placebo", "log odds ratio")
)

reml_of <- function(yi, vi) {
  fit <- tryCatch(rma(yi, vi, method = "REML", control = list(stepadj = 0.5, maxiter = 1000)),
                  error = function(e) NULL)
  if (is.null(fit)) NULL else list(effect = as.numeric(fit$b), se = fit$se, tau = sqrt(fit$tau2))
}
exact_of <- function(t) { # maximum likelihood given the margins; slow for thousands of events
  if (sum(t$a + t$c) > 3000 || length(t$a) > 60) return(NULL)
  fit <- tryCatch(suppressWarnings(rma.glmm(measure = "OR", ai = t$a, n1i = t$n1, ci = t$c, n2i = t$n2,
                                            model = "CM.EL")), error = function(e) NULL)
  if (is.null(fit)) NULL else list(effect = as.numeric(fit$b), se = fit$se, tau = sqrt(fit$tau2))
}
agents_of <- function(estimates, errors, tau) lapply(names(estimates), function(agent)
  list(agent = agent, effect = estimates[[agent]], se = errors[[agent]], tau = tau))

pooled <- function(t) {
  if (t$kind == "counts") {
    e <- escalc("OR", ai = t$a, n1i = t$n1, ci = t$c, n2i = t$n2, drop00 = TRUE)
    ok <- !is.na(e$yi)
    return(list(reml = reml_of(e$yi[ok], e$vi[ok]), exact = exact_of(t)))
  }
  if (t$kind == "rates") {
    e <- escalc("IRR", x1i = t$x1, t1i = t$t1, x2i = t$x2, t2i = t$t2)
    fit <- tryCatch(suppressWarnings(rma.glmm(measure = "IRR", x1i = t$x1, t1i = t$t1, x2i = t$x2, t2i = t$t2,
                                              model = "CM.EL")), error = function(e) NULL)
    exact <- if (!is.null(fit)) list(effect = as.numeric(fit$b), se = fit$se, tau = sqrt(fit$tau2))
    return(list(reml = reml_of(e$yi, e$vi), exact = exact))
  }
  if (t$kind == "effects") return(list(reml = reml_of(t$yi, t$vi)))
  if (t$kind == "proportions") {
    d <- data.frame(x = t$x, n = t$n, study = factor(seq_along(t$x)))
    fit <- glmer(cbind(x, n - x) ~ 1 + (1 | study), data = d, family = binomial, nAGQ = 15)
    return(list(glmm = list(effect = fixef(fit)[[1]], se = sqrt(vcov(fit)[1, 1]), tau = sqrt(VarCorr(fit)[[1]][1]))))
  }
  if (t$kind == "contrasts") return(list()) # computed from the trials' numbers by public_quadrature.py
  agent <- relevel(factor(t$agent), t$reference)
  study <- factor(t$study)
  arm <- seq_along(study)
  # The difference of two arms has the variance tau^2, so that each arm has half of it.
  if (t$kind == "arm_counts") {
    d <- data.frame(r = t$r, n = t$n, study, agent, arm = factor(arm))
    fit <- tryCatch(suppressWarnings(suppressMessages(glmer(cbind(r, n - r) ~ 0 + study + agent + (1 | arm),
      data = d, family = binomial, nAGQ = 1, control = glmerControl(optimizer = "bobyqa", calc.derivs = FALSE)))),
      error = function(e) NULL)
    if (is.null(fit)) return(list())
    b <- fixef(fit); s <- sqrt(diag(as.matrix(vcov(fit)))); names(s) <- names(b)
    tau <- sqrt(2 * VarCorr(fit)[[1]][1])
    method <- "glmm"
  } else {
    fit <- tryCatch(rma.mv(t$y, t$v, mods = ~ 0 + study + agent, random = ~ 1 | arm, method = "REML"),
                    error = function(e) NULL)
    if (is.null(fit)) return(list())
    b <- setNames(as.numeric(fit$b), rownames(fit$b)); s <- setNames(fit$se, rownames(fit$b))
    tau <- sqrt(2 * fit$sigma2[1])
    method <- "reml"
  }
  keep <- startsWith(names(b), "agent")
  b <- b[keep]; s <- s[keep]
  names(b) <- names(s) <- substring(names(b), 6)
  setNames(list(agents_of(b, s, tau)), method)
}

arguments <- commandArgs(trailingOnly = TRUE)
files <- list.files(arguments[-1], pattern = "\\.csv$", full.names = TRUE)
answers <- list()
for (file in files) {
  name <- sub("\\.csv$", "", basename(file))
  short <- sub("^[^_]*__", "", name)
  for (entry in names(tables)) {
    if (sub(" .*", "", entry) != short) next
    x <- read.csv(file, stringsAsFactors = FALSE, check.names = FALSE)
    trials <- tables[[entry]](x)
    answers[[length(answers) + 1]] <- c(list(table = name, what = trimws(sub("^[^ ]*", "", entry))),
      list(trials = trials), list(peers = pooled(trials)))
  }
}
write(toJSON(answers, auto_unbox = TRUE, digits = 8, na = "null"), arguments[1])
cat(length(answers), "references for", length(unique(sapply(answers, `[[`, "table"))), "tables\n")
