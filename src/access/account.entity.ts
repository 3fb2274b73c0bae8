import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An embedded account. Its password hash and its epoch never leave this feature. */
@Entity('account')
export class AccountEntity {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  email!: string;

  @Column('text', { nullable: true })
  name!: string | null;

  @Column('text', { nullable: true })
  phone!: string | null;

  @Column('text', { name: 'time_zone' })
  timeZone!: string;

  @Column('text', { name: 'password_hash', nullable: true })
  passwordHash!: string | null;

  /** The tenant whose member made the account; null: the provider did. */
  @Column('uuid', { name: 'home_tenant_id', nullable: true })
  homeTenantId!: string | null;

  @Column('boolean', { name: 'is_provider' })
  isProvider!: boolean;

  /** Grows with each change of the password; tokens of an earlier epoch are no longer good. */
  @Column('integer', { name: 'token_epoch' })
  tokenEpoch!: number;
}
