import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a second person was asked to agree to. */
export class Approvals1763806100000 implements MigrationInterface {
  name = 'Approvals1763806100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table approval (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        action text not null,
        subject_type text not null,
        subject_id uuid not null,
        summary text not null,
        bound_hash bytea not null,
        note text,
        state text not null default 'REQUESTED' check (state in ('REQUESTED', 'APPROVED', 'REJECTED', 'USED')),
        requested_by jsonb not null,
        created_at timestamptz(3) not null default clock_timestamp(),
        expires_at timestamptz(3) not null,
        decided_by jsonb,
        decided_at timestamptz(3),
        decision_note text,
        used_at timestamptz(3),
        check ((state = 'REQUESTED') = (decided_at is null) and (state = 'USED') = (used_at is not null))
      );
      create index approval_by_tenant on approval (tenant_id, created_at desc, id desc);
      create index approval_by_work on approval (tenant_id, bound_hash, created_at desc);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table approval');
  }
}
