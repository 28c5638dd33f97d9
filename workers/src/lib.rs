//! The relay, the bus, timers and task queues.
