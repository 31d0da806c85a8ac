//! Benchmarks: parsing, cost per call, memory
#![forbid(unsafe_code)]
