/*
 * paths.h: the fast evaluators that this build has. Private.
 *
 * They are compiled for their instruction set function by function and run only where available()
 * says that the CPU has it; a build for another kind of machine has none of them.
 */
#ifndef GBDT_PATHS_H
#define GBDT_PATHS_H

#include "gbdt/model.h"

#if defined(__x86_64__)
#define GBDT_X86 1
#endif

extern const struct gbdt_evaluator gbdt_blocks;
#ifdef GBDT_X86
extern const struct gbdt_evaluator gbdt_avx2;
extern const struct gbdt_evaluator gbdt_avx512; /* F, BW: Skylake's servers and later */
extern const struct gbdt_evaluator gbdt_vbmi;   /* and VBMI: Ice Lake, Zen 4 and later */
#endif

#endif
