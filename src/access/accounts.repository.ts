import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import { AccountEntity } from './account.entity.js';

/** An account belongs to no tenant, so no method takes a scope. */
@Injectable()
export class AccountsRepository {
  constructor(@InjectRepository(AccountEntity) private readonly rows: Repository<AccountEntity>) {}

  findByEmail(email: string, manager: EntityManager = this.rows.manager): Promise<AccountEntity | null> {
    return manager.createQueryBuilder(AccountEntity, 'account').where('lower(account.email) = lower(:email)', { email }).getOne();
  }

  findById(id: string): Promise<AccountEntity | null> {
    return this.rows.findOneBy({ id });
  }

  async insert(account: AccountEntity, manager: EntityManager): Promise<void> {
    await manager.insert(AccountEntity, account);
  }

  /** Ends every token of the account along with the old password. */
  async setPassword(id: string, passwordHash: string, manager: EntityManager = this.rows.manager): Promise<void> {
    await manager.query('update account set password_hash = $2, token_epoch = token_epoch + 1 where id = $1', [id, passwordHash]);
  }

  /** The account no longer belongs to the tenant whose members made it; their password and its tokens end. */
  async takeOver(id: string, passwordHash: string, manager: EntityManager): Promise<void> {
    await manager.query('update account set password_hash = $2, token_epoch = token_epoch + 1, home_tenant_id = null where id = $1', [id, passwordHash]);
  }

  async makeProvider(id: string, manager: EntityManager): Promise<void> {
    await manager.query('update account set is_provider = true, home_tenant_id = null where id = $1', [id]);
  }

  async revoke(tokenId: string, expiresAt: Date): Promise<void> {
    await this.rows.manager.query('insert into revoked_token (token_id, expires_at) values ($1, $2) on conflict do nothing', [tokenId, expiresAt]);
    await this.rows.manager.query('delete from revoked_token where expires_at < now()');
  }

  /** The account, if the token's epoch is still its own and the token was not revoked. */
  findByToken(id: string, epoch: number, tokenId: string): Promise<AccountEntity | null> {
    return this.rows
      .createQueryBuilder('account')
      .where('account.id = :id and account.tokenEpoch = :epoch', { id, epoch })
      .andWhere('not exists (select 1 from revoked_token where token_id = :tokenId)', { tokenId })
      .getOne();
  }
}
