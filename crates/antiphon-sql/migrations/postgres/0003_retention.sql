-- Retention by bytes: what a topic's kept entries have, counted up to one of them. Whoever appends does not touch it;
-- what has come behind `sized` is added when the topic is trimmed.

alter table antiphon.topics
    add column sized bigint not null default 0,
    add column bytes bigint not null default 0;
