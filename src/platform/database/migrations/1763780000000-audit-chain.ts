import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The chain of whatever concerns no tenant: logins and what the provider does. */
const provider = `'00000000-0000-0000-0000-000000000000'::uuid`;

/**
 * Each audit event carries the hash of the one before it and of itself. What the hash is made of is told once more by `audit-chain.ts`, which verifies it
 * without any of these functions.
 */
export class AuditChain1763780000000 implements MigrationInterface {
  name = 'AuditChain1763780000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table audit_chain (
        -- The tenant, or zeros for the provider.
        chain uuid primary key,
        length bigint not null default 0,
        -- Of the last event.
        hash bytea not null default '',
        -- The last event that was removed because of its age: the first one that is kept follows on it.
        anchor_sequence bigint not null default 0,
        anchor_hash bytea not null default ''
      );

      alter table audit_event add column sequence bigint, add column previous_hash bytea, add column hash bytea;
      create unique index audit_event_chain on audit_event (coalesce(tenant_id, ${provider}), sequence);
      create index audit_event_unchained on audit_event (id) where hash is null;

      create function audit_field(value text) returns text language sql immutable as $$
        select case when value is null then '-' else octet_length(convert_to(value, 'UTF8')) || ':' || value end || ',' $$;

      create function audit_event_hash(event audit_event) returns bytea language sql stable as $$
        select sha256(convert_to(
          audit_field(encode(event.previous_hash, 'hex')) || audit_field(event.sequence::text) || audit_field(event.id::text) || audit_field(event.tenant_id::text)
          || audit_field((extract(epoch from event.at) * 1000)::bigint::text) || audit_field(event.action) || audit_field(event.outcome) || audit_field(event.actor::text)
          || audit_field(event.address) || audit_field(event.subject_type) || audit_field(event.subject_id) || audit_field(event.detail::text), 'UTF8')) $$;

      create function audit_event_append(event_id uuid, key uuid) returns void language plpgsql as $$
        declare head audit_chain; event audit_event;
        begin
          insert into audit_chain (chain) values (key) on conflict do nothing;
          select * into strict head from audit_chain where chain = key for update;
          select * into strict event from audit_event where id = event_id;
          event.sequence := head.length + 1;
          event.previous_hash := head.hash;
          event.hash := audit_event_hash(event);
          update audit_event set sequence = event.sequence, previous_hash = event.previous_hash, hash = event.hash where id = event_id;
          update audit_chain set length = event.sequence, hash = event.hash where chain = key;
        end $$;

      -- At the end of the transaction: the lock on the chain is then the last one that it takes, and is held for a moment alone.
      -- All of its chains are locked at once and in order, so that two transactions never wait for each other.
      create function audit_event_chain() returns trigger language plpgsql as $$
        begin
          insert into audit_chain (chain) select distinct coalesce(tenant_id, ${provider}) as key from audit_event where hash is null order by key on conflict do nothing;
          perform 1 from audit_chain where chain in (select coalesce(tenant_id, ${provider}) from audit_event where hash is null) order by chain for update;
          perform audit_event_append(new.id, coalesce(new.tenant_id, ${provider}));
          return null;
        end $$;

      create or replace function audit_event_append_only() returns trigger language plpgsql as $$
        begin
          if tg_op = 'UPDATE' and old.hash is null and new.hash is not null
             and to_jsonb(new) - '{sequence,previous_hash,hash}'::text[] = to_jsonb(old) - '{sequence,previous_hash,hash}'::text[] then return new; end if;
          if tg_op = 'DELETE' and old.sequence <= (select anchor_sequence from audit_chain where chain = coalesce(old.tenant_id, ${provider})) then return old; end if;
          raise exception 'audit_event is append only';
        end $$;
      create trigger audit_event_no_truncate before truncate on audit_event execute function audit_event_append_only();

      create function audit_chain_grows_only() returns trigger language plpgsql as $$
        begin
          if tg_op = 'UPDATE' and new.chain = old.chain and new.length >= old.length and new.anchor_sequence between old.anchor_sequence and new.length then return new; end if;
          raise exception 'audit_chain grows only';
        end $$;
      create trigger audit_chain_grows_only before update or delete on audit_chain for each row execute function audit_chain_grows_only();

      do $$
        declare event record;
        begin
          for event in select id, coalesce(tenant_id, ${provider}) as key from audit_event order by at, id loop
            perform audit_event_append(event.id, event.key);
          end loop;
        end $$;

      create constraint trigger audit_event_chain after insert on audit_event deferrable initially deferred for each row execute function audit_event_chain();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop trigger audit_event_chain on audit_event;
      drop trigger audit_event_no_truncate on audit_event;
      create or replace function audit_event_append_only() returns trigger language plpgsql as $$
        begin raise exception 'audit_event is append only'; end $$;
      drop function audit_event_chain, audit_event_append, audit_event_hash, audit_field;
      alter table audit_event drop column sequence, drop column previous_hash, drop column hash;
      drop table audit_chain;
      drop function audit_chain_grows_only;
    `);
  }
}
