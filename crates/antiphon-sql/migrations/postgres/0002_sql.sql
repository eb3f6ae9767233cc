-- Commit = publish, from any language: functions that append inside of the caller's own transaction. Their entries are
-- marked, so that the node that tails finds them without reading what nodes have rung for themselves.

alter table antiphon.entries add column by_sql boolean not null default false;
drop index antiphon.entries_xid;
create index entries_by_sql on antiphon.entries (xid) include (topic_id, "offset") where by_sql;

-- The revision of a tenant's last deletion: what is stamped with it or an older one was meant for a tenant that is gone.
alter table antiphon.tenants add column deleted_revision bigint not null default 0;
update antiphon.tenants set deleted_revision = revision where deleted;

-- What the program's chain has: SHA-256 of the secret, the domain and each part with its length in front, cut to 64 bits.
create function antiphon.chain(domain text, variadic parts bytea[]) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
    select ('x' || encode(substring(sha256(
        (select secret from antiphon.cluster) || convert_to(domain, 'UTF8') ||
        (select string_agg(int8send(length(part)) || part, ''::bytea order by place)
            from unnest(parts) with ordinality as p (part, place))
    ) for 8), 'hex'))::bit(64)::bigint
$$;

-- An id of version 7, as the program makes them.
create function antiphon.new_id(ms bigint) returns uuid
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select encode(set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid()) placing substring(int8send(ms) from 3) from 1 for 6), 52, 1), 53, 1
    ), 'hex')::uuid
$$;

create function antiphon.refuse(what text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'invalid_parameter_value', message = 'antiphon: ' || what;
end
$$;

-- Names are 1 to so many printable ASCII characters without space.
create function antiphon.check_name(what text, name text, longest integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if name is null or length(name) not between 1 and longest then
        perform antiphon.refuse(what || ' must have 1 to ' || longest || ' characters');
    elsif name !~ '^[!-~]+$' collate "C" then
        perform antiphon.refuse(what || ' may only have printable ASCII characters without space');
    end if;
end
$$;

-- Whether arrays and objects stand deeper in each other than 32, which no door takes.
create function antiphon.is_too_deep(body text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    brackets text;
begin
    if length(body) - length(translate(body, '[{', '')) <= 32 then
        return false;
    end if;
    brackets := translate(regexp_replace(
        regexp_replace(body, '"(?:\\.|[^"\\])*"', '', 'g'), '[^][{}]+', '', 'g'), '{}', '[]');
    for level in 1..32 loop
        -- What is innermost goes.
        brackets := replace(brackets, '[]', '');
    end loop;
    return brackets <> '';
end
$$;

-- JSON without the white space that says nothing.
create function antiphon.without_space(body text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select regexp_replace(body, '("(?:\\.|[^"\\])*")|[ \t\r\n]+', '\1', 'g')
$$;

-- The tenant's next revision, with its row locked; null: there is no such tenant.
create function antiphon.next_revision(of_tenant text) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select revision + 1 from antiphon.tenants where id = of_tenant and not deleted for no key update
$$;

-- Appends one entry. Whether there is such a tenant is looked up where tenants are kept here; an application that keeps
-- them elsewhere has looked itself.
--
-- Locks are taken in one order by all who append or delete: the tenant, then its topic; several of either in the order of
-- their names. None is waited for without end: where the caller has set no lock_timeout, it is 2 seconds in here.
create function antiphon.append_entry(
    tenant text, topic text, text text, body json, project_id text, user_id text, key text, is_tenant_kept_here boolean
) returns table (id uuid, "position" text, duplicate boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := append_entry.tenant;
    named constant text := append_entry.topic;
    by_user constant text := append_entry.user_id;
    by_key constant text := append_entry.key;
    of_project text := append_entry.project_id;
    waits_for_ever constant boolean := current_setting('lock_timeout') = '0';
    made constant bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    kept_kind text;
    json_text text;
    log antiphon.topics%rowtype;
    kept antiphon.entries%rowtype;
    first_epoch bigint;
    first_link bigint;
    new_link bigint;
    new_id uuid;
begin
    perform antiphon.check_name('tenant', of_tenant, 128);
    perform antiphon.check_name('topic', named, 255);
    if starts_with(named, '$antiphon:') then
        perform antiphon.refuse('topic: names that begin with "$antiphon:" are reserved');
    elsif named = of_tenant then
        null;
    elsif starts_with(named, 'project:') then
        of_project := substr(named, 9);
        perform antiphon.check_name('topic: the id behind "project:"', of_project, 128);
    elsif starts_with(named, 'user:') then
        perform antiphon.check_name('topic: the id behind "user:"', substr(named, 6), 128);
    end if;
    if of_project is not null then
        perform antiphon.check_name('project_id', of_project, 128);
    end if;
    if by_user is not null then
        perform antiphon.check_name('user_id', by_user, 128);
    end if;
    if by_key is not null and (octet_length(by_key) not between 1 and 255 or by_key ~ '[[:cntrl:]]') then
        perform antiphon.refuse('key must have 1 to 255 bytes and no control characters');
    end if;
    if (append_entry.text is null) = (append_entry.body is null) then
        perform antiphon.refuse('one of text and body is needed, and only one');
    elsif append_entry.text is not null then
        kept_kind := 'text';
        json_text := to_json(append_entry.text)::text;
    else
        kept_kind := 'body';
        json_text := append_entry.body::text;
    end if;
    if coalesce(octet_length(append_entry.text), octet_length(json_text)) > 65536 then
        perform antiphon.refuse(kept_kind || ' may have at most 65536 bytes');
    elsif kept_kind = 'body' and antiphon.is_too_deep(json_text) then
        perform antiphon.refuse('body may be nested at most 32 deep');
    end if;
    if waits_for_ever then
        perform set_config('lock_timeout', '2s', true);
    end if;
    if is_tenant_kept_here then
        -- Held until the transaction ends: a tenant is deleted before this or after it, and other changes of it need not wait.
        perform from antiphon.tenants t where t.id = of_tenant and not t.deleted for key share;
        if not found then
            perform antiphon.refuse('there is no tenant "' || of_tenant || '"');
        end if;
    end if;

    -- The topic is held until the transaction ends: that is the order of its log.
    select * into log from antiphon.topics t where t.tenant = of_tenant and t.name = named for no key update;
    if not found then
        first_epoch := antiphon.chain('epoch', convert_to(of_tenant, 'UTF8'), convert_to(named, 'UTF8'));
        first_link := antiphon.chain(
            'origin', convert_to(of_tenant, 'UTF8'), convert_to(named, 'UTF8'), int8send(first_epoch));
        insert into antiphon.topics (tenant, name, epoch, link, trimmed_link)
            values (of_tenant, named, first_epoch, first_link, first_link) on conflict do nothing;
        select * into strict log from antiphon.topics t
            where t.tenant = of_tenant and t.name = named for no key update;
    end if;
    if waits_for_ever then
        perform set_config('lock_timeout', '0', true);
    end if;

    if by_key is not null then
        select * into kept from antiphon.entries e
            where e.topic_id = log.id and e.author is not distinct from by_user and e.key = by_key;
        if found then
            if kept.kind <> kept_kind or antiphon.without_space(kept.content) <> antiphon.without_space(json_text) or kept.project is distinct from of_project then
                raise exception using errcode = 'unique_violation',
                    message = 'antiphon: key was used before for another entry of this topic and author';
            end if;
            return query select kept.id, antiphon.position_text(log.epoch, kept."offset", kept.link), true;
            return;
        end if;
    end if;

    new_id := antiphon.new_id(made);
    new_link := antiphon.chain('link', int8send(log.link), int8send(log.epoch), int8send(log.head + 1),
        uuid_send(new_id), convert_to(json_text, 'UTF8'));
    insert into antiphon.entries
        (topic_id, "offset", id, author, project, key, kind, content, created_at, revision, link, by_sql)
        values (log.id, log.head + 1, new_id, by_user, of_project, by_key, kept_kind, json_text, made, 0, new_link, true);
    update antiphon.topics t set head = log.head + 1, link = new_link, oldest_at = coalesce(t.oldest_at, made)
        where t.id = log.id;
    return query select new_id, antiphon.position_text(log.epoch, log.head + 1, new_link), false;
end
$$;

create function antiphon.publish(
    tenant text, topic text, text text default null, body json default null,
    project_id text default null, user_id text default null, key text default null
) returns table (id uuid, "position" text, duplicate boolean)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select id, "position", duplicate from antiphon.append_entry($1, $2, $3, $4, $5, $6, $7, true)
$$;

create function antiphon.position_text(epoch bigint, "offset" bigint, link bigint) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select lpad(to_hex(epoch), 16, '0') || '-' || "offset" || '-' || lpad(to_hex(link), 16, '0')
$$;

-- The directory. Each returns whether anything changed, and takes effect on open connections within a second of the commit.

create function antiphon.put_user(tenant text, user_id text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := put_user.tenant;
    who constant text := put_user.user_id;
    next bigint;
begin
    perform antiphon.check_name('tenant', of_tenant, 128);
    perform antiphon.check_name('user_id', who, 128);
    insert into antiphon.tenants (id) values (of_tenant)
        on conflict (id) do update set deleted = false where tenants.deleted;
    next := antiphon.next_revision(of_tenant);
    insert into antiphon.users (tenant, id, revision) values (of_tenant, who, next)
        on conflict (tenant, id) do update set deleted = false, revision = excluded.revision where users.deleted;
    if not found then
        return false;
    end if;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

create function antiphon.delete_user(tenant text, user_id text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := delete_user.tenant;
    who constant text := delete_user.user_id;
    next constant bigint := antiphon.next_revision(of_tenant);
begin
    update antiphon.users set deleted = true, revocations = revocations + 1, revision = next,
        tokens_revoked_before = (extract(epoch from clock_timestamp()) * 1000)::bigint
        where tenant = of_tenant and id = who and not deleted;
    if not found then
        return false;
    end if;
    delete from antiphon.members where tenant = of_tenant and user_id = who;
    delete from antiphon.tokens where tenant = of_tenant and user_id = who;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

create function antiphon.put_project(tenant text, project_id text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := put_project.tenant;
    what constant text := put_project.project_id;
    next bigint;
begin
    perform antiphon.check_name('tenant', of_tenant, 128);
    perform antiphon.check_name('project_id', what, 128);
    insert into antiphon.tenants (id) values (of_tenant)
        on conflict (id) do update set deleted = false where tenants.deleted;
    next := antiphon.next_revision(of_tenant);
    insert into antiphon.projects (tenant, id) values (of_tenant, what) on conflict do nothing;
    if not found then
        return false;
    end if;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

-- What is null stays as it is; for a new member it is true.
create function antiphon.put_member(
    tenant text, project_id text, user_id text, deliver boolean default null, push boolean default null
) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := put_member.tenant;
    what constant text := put_member.project_id;
    who constant text := put_member.user_id;
    wants_deliver constant boolean := put_member.deliver;
    wants_push constant boolean := put_member.push;
    next bigint;
begin
    perform antiphon.put_project(of_tenant, what);
    perform antiphon.put_user(of_tenant, who);
    next := antiphon.next_revision(of_tenant);
    insert into antiphon.members as m (tenant, project, user_id, deliver, push)
        values (of_tenant, what, who, coalesce(wants_deliver, true), coalesce(wants_push, true))
        on conflict (tenant, project, user_id) do update
            set deliver = coalesce(wants_deliver, m.deliver), push = coalesce(wants_push, m.push)
            where (coalesce(wants_deliver, m.deliver), coalesce(wants_push, m.push)) <> (m.deliver, m.push);
    if not found then
        return false;
    end if;
    update antiphon.users set revision = next where tenant = of_tenant and id = who;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

create function antiphon.delete_member(tenant text, project_id text, user_id text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := delete_member.tenant;
    what constant text := delete_member.project_id;
    who constant text := delete_member.user_id;
    next constant bigint := antiphon.next_revision(of_tenant);
begin
    delete from antiphon.members where tenant = of_tenant and project = what and user_id = who;
    if not found then
        return false;
    end if;
    update antiphon.users set revision = next where tenant = of_tenant and id = who;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

-- Of a member only: who is none is made none.
create function antiphon.put_settings(
    tenant text, project_id text, user_id text, deliver boolean default null, push boolean default null
) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := put_settings.tenant;
    what constant text := put_settings.project_id;
    who constant text := put_settings.user_id;
    wants_deliver constant boolean := put_settings.deliver;
    wants_push constant boolean := put_settings.push;
    next constant bigint := antiphon.next_revision(of_tenant);
begin
    update antiphon.members m set deliver = coalesce(wants_deliver, m.deliver), push = coalesce(wants_push, m.push)
        where m.tenant = of_tenant and m.project = what and m.user_id = who
        and (coalesce(wants_deliver, m.deliver), coalesce(wants_push, m.push)) <> (m.deliver, m.push);
    if not found then
        return false;
    end if;
    update antiphon.users set revision = next where tenant = of_tenant and id = who;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

-- All tokens of a user that were issued before now; the line is drawn at the next second, since a JWT says to the second
-- when it was issued.
create function antiphon.revoke_tokens(tenant text, user_id text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    of_tenant constant text := revoke_tokens.tenant;
    who constant text := revoke_tokens.user_id;
    next constant bigint := antiphon.next_revision(of_tenant);
begin
    update antiphon.users set revocations = revocations + 1, revision = next,
        tokens_revoked_before = greatest(tokens_revoked_before, ceil(extract(epoch from clock_timestamp()))::bigint * 1000)
        where tenant = of_tenant and id = who and not deleted;
    if not found then
        return false;
    end if;
    delete from antiphon.tokens where tenant = of_tenant and user_id = who;
    update antiphon.tenants set revision = next where id = of_tenant;
    return true;
end
$$;

-- Who may: two roles of the server, made where the migrating role may make roles, else by whoever may.
revoke all on all functions in schema antiphon from public;

do $$
declare
    made text;
begin
    foreach made in array array['antiphon_publisher', 'antiphon_directory'] loop
        begin
            if not exists (select from pg_roles where rolname = made) then
                execute format('create role %I nologin', made);
            end if;
        exception when insufficient_privilege or duplicate_object or unique_violation then
            null;
        end;
        if exists (select from pg_roles where rolname = made) then
            execute format('grant usage on schema antiphon to %I', made);
        end if;
    end loop;
    if exists (select from pg_roles where rolname = 'antiphon_publisher') then
        grant execute on function antiphon.publish, antiphon.append_entry to antiphon_publisher;
    end if;
    if exists (select from pg_roles where rolname = 'antiphon_directory') then
        grant execute on function antiphon.put_user, antiphon.delete_user, antiphon.put_project, antiphon.put_member,
            antiphon.delete_member, antiphon.put_settings, antiphon.revoke_tokens to antiphon_directory;
    end if;
end
$$;
