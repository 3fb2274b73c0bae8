import { Args, Mutation, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { DownloadsService } from './downloads.service.js';
import { DownloadCreateInput, DownloadCreatePayload } from './dto/download.inputs.js';

@Resolver()
export class DownloadsResolver {
  constructor(private readonly downloads: DownloadsService) {}

  @Access(Permission.BACKUP_DOWNLOAD)
  @Mutation(() => DownloadCreatePayload)
  downloadCreate(@CurrentActor() actor: Actor, @Args('input') input: DownloadCreateInput): Promise<DownloadCreatePayload> {
    return this.downloads.create(actor, input);
  }
}
