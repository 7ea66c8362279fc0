//! What satgas knows: validation, decisions, folds, evaluation. Pure, no IO, no clock.
