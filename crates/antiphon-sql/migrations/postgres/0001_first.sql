-- Names are compared by their bytes, as the program compares them: locks are taken in that order.

create table antiphon.cluster (
    one integer primary key check (one = 1),
    secret bytea not null check (length(secret) = 32)
);

-- A topic's row is the order of its log: who appends holds it. It changes with every batch, mostly in place.
create table antiphon.topics (
    id bigint generated always as identity primary key,
    tenant text collate "C" not null,
    name text collate "C" not null,
    epoch bigint not null,
    -- The last entry.
    head bigint not null default 0,
    link bigint not null,
    -- The last entry that is no longer kept.
    trimmed bigint not null default 0,
    trimmed_link bigint not null,
    -- When the oldest kept entry was made; null: none is kept.
    oldest_at bigint,
    unique (tenant, name)
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
create index topics_oldest_at on antiphon.topics (oldest_at) where oldest_at is not null;

create table antiphon.entries (
    topic_id bigint not null,
    "offset" bigint not null,
    id uuid not null unique,
    author text collate "C",
    project text collate "C",
    key text collate "C",
    kind text not null check (kind in ('text', 'body')),
    content text not null,
    created_at bigint not null,
    revision bigint not null,
    link bigint not null,
    -- For a reader that follows transactions, see the tail in docs.
    xid xid8 not null default pg_current_xact_id(),
    primary key (topic_id, "offset")
);
create unique index entries_key on antiphon.entries (topic_id, author, key) nulls not distinct where key is not null;
create index entries_xid on antiphon.entries (xid) include (topic_id, "offset");

-- The directory. Tenants and users leave a tombstone, so that what only grows goes on growing.

create table antiphon.tenants (
    id text collate "C" primary key,
    revision bigint not null default 0,
    deleted boolean not null default false,
    tokens_revoked_before bigint
);

create table antiphon.users (
    tenant text collate "C" not null references antiphon.tenants (id),
    id text collate "C" not null,
    revision bigint not null,
    revocations bigint not null default 0,
    disconnects bigint not null default 0,
    deleted boolean not null default false,
    tokens_revoked_before bigint,
    primary key (tenant, id)
);

create table antiphon.projects (
    tenant text collate "C" not null references antiphon.tenants (id),
    id text collate "C" not null,
    primary key (tenant, id)
);

create table antiphon.members (
    tenant text collate "C" not null,
    project text collate "C" not null,
    user_id text collate "C" not null,
    deliver boolean not null default true,
    push boolean not null default true,
    primary key (tenant, project, user_id),
    foreign key (tenant, project) references antiphon.projects (tenant, id),
    foreign key (tenant, user_id) references antiphon.users (tenant, id)
);
create index members_user on antiphon.members (tenant, user_id);

-- Identities: hashes only.

create table antiphon.tokens (
    hash bytea primary key check (length(hash) = 32),
    tenant text collate "C" not null,
    user_id text collate "C" not null,
    expires_at bigint,
    foreign key (tenant, user_id) references antiphon.users (tenant, id)
);
create index tokens_user on antiphon.tokens (tenant, user_id);
create index tokens_expires_at on antiphon.tokens (expires_at) where expires_at is not null;

create table antiphon.api_keys (
    made bigint generated always as identity primary key,
    id text collate "C" not null unique,
    hash bytea not null unique check (length(hash) = 32),
    scopes text not null,
    tenant text collate "C",
    expires_at bigint,
    created_at bigint not null
);

create table antiphon.leases (
    node bigint primary key,
    connections bigint not null,
    expires_at timestamptz not null
);
