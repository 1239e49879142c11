//! The shell of every binary: config, telemetry, health, limits, deadline, drain.
