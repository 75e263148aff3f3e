//! Stages: checked parameters to nodes. Pure.
