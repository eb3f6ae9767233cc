-- Retention by bytes: what a topic's kept entries have, counted up to one of them. Whoever appends does not touch it;
-- what has come behind `sized` is added when the topic is trimmed.

alter table topics add column sized integer not null default 0;
alter table topics add column bytes integer not null default 0;
