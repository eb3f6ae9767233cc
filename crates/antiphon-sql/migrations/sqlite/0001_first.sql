-- The log.

create table cluster (
    one integer primary key check (one = 1),
    secret blob not null check (length(secret) = 32)
) strict;

-- A topic's row is the order of its log: who appends holds it.
create table topics (
    id integer primary key,
    tenant text not null,
    name text not null,
    epoch integer not null,
    -- The last entry.
    head integer not null default 0,
    link integer not null,
    -- The last entry that is no longer kept.
    trimmed integer not null default 0,
    trimmed_link integer not null,
    -- When the oldest kept entry was made; null: none is kept.
    oldest_at integer,
    unique (tenant, name)
) strict;
create index topics_oldest_at on topics (oldest_at) where oldest_at is not null;

create table entries (
    topic_id integer not null references topics (id),
    "offset" integer not null,
    id blob not null unique,
    author text,
    project text,
    "key" text,
    kind text not null check (kind in ('text', 'body')),
    content text not null,
    created_at integer not null,
    revision integer not null,
    link integer not null,
    unique (topic_id, "offset")
) strict;
-- No author counts as one.
create unique index entries_key on entries (topic_id, coalesce(author, ''), "key") where "key" is not null;

-- The directory. Tenants and users leave a tombstone, so that what only grows goes on growing.

create table tenants (
    id text primary key,
    revision integer not null default 0,
    deleted integer not null default 0,
    tokens_revoked_before integer
) strict, without rowid;

create table users (
    tenant text not null references tenants (id),
    id text not null,
    revision integer not null,
    revocations integer not null default 0,
    disconnects integer not null default 0,
    deleted integer not null default 0,
    tokens_revoked_before integer,
    primary key (tenant, id)
) strict, without rowid;

create table projects (
    tenant text not null references tenants (id),
    id text not null,
    primary key (tenant, id)
) strict, without rowid;

create table members (
    tenant text not null,
    project text not null,
    user_id text not null,
    deliver integer not null default 1,
    push integer not null default 1,
    primary key (tenant, project, user_id),
    foreign key (tenant, project) references projects (tenant, id),
    foreign key (tenant, user_id) references users (tenant, id)
) strict, without rowid;
create index members_user on members (tenant, user_id);

-- Identities: hashes only.

create table tokens (
    hash blob primary key check (length(hash) = 32),
    tenant text not null,
    user_id text not null,
    expires_at integer,
    foreign key (tenant, user_id) references users (tenant, id)
) strict, without rowid;
create index tokens_user on tokens (tenant, user_id);
create index tokens_expires_at on tokens (expires_at) where expires_at is not null;

create table api_keys (
    made integer primary key autoincrement,
    id text not null unique,
    hash blob not null unique check (length(hash) = 32),
    scopes text not null,
    tenant text,
    expires_at integer,
    created_at integer not null
) strict;

create table leases (
    node integer primary key,
    connections integer not null,
    expires_at integer not null
) strict;
