/*
 * score_functions.h: what the functions of score_functions.c are called in SQL. Private.
 *
 *   kol_trust_features(12 inputs)    STRUCT of the 29 features by name
 *   kol_success_features(9 inputs)   STRUCT of the 21 features by name
 *   kol_product_success(9 inputs)    STRUCT(score, label, method, in_domain)
 *   kol_score(12 inputs, success, velocity, velocity before, baseline, market)
 *                                    STRUCT(trust_score, trust_label, risk_level, confidence,
 *                                    in_domain, out_of_domain, trust_model_version,
 *                                    success_label, trending_score, trending_label,
 *                                    composite_score, composite_parts)
 *   kol_split(text)                  train, validation or test: 70, 15, 15 in a hundred
 * Inputs are in the order of struct trust_inputs and struct success_inputs.
 */
#ifndef LAKE_SCORE_FUNCTIONS_H
#define LAKE_SCORE_FUNCTIONS_H

#include "engine/engine.h"
#include "score/score.h"

enum kol_status score_functions_add(struct engine *engine, const struct score_models *models,
                                    struct kol_error *err) KOL_CHECKED;

#endif
