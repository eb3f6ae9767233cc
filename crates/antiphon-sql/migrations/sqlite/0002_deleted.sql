-- The revision of a tenant's last deletion: what is stamped with it or an older one was meant for a tenant that is gone.
alter table tenants add column deleted_revision integer not null default 0;
update tenants set deleted_revision = revision where deleted;
