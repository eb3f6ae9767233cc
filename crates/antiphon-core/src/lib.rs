//! The seams: Store, Broker, Directory, Authenticator, Authorizer, Presence; limits, tasks and errors.
