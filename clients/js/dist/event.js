// What a subscription hears, and what comes back from what is asked. Entries and signals are the server's frames as
// docs/protocol.md has them.
export {};
