//! gRPC services, configuration and the run loop.
