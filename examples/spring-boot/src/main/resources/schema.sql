create table if not exists message (
  id         uuid primary key,
  company_id varchar(128) not null,
  user_id    varchar(128) not null,
  project_id varchar(128),
  text       text         not null,
  replies    integer      not null default 0,
  created_at bigint       not null
);

create index if not exists message_of_company on message (company_id, created_at);

-- A row without a position has not been confirmed by antiphon yet; one with a problem never will be.
create table if not exists announcement (
  id         uuid primary key,
  company_id varchar(128) not null,
  project_id varchar(128),
  text       text         not null,
  created_at bigint       not null,
  position   varchar(255),
  problem    varchar(500)
);

create index if not exists announcement_of_company on announcement (company_id, created_at);

-- The entries that this application published by SQL, written in the same transaction: so that it knows them when it
-- hears of them.
create table if not exists published_entry (
  id uuid primary key
);
