//! One running instance: publish, receive, repair, subscribe, history, presence, control.
