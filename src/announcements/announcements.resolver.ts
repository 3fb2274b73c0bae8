import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { AnnouncementCancelInput, AnnouncementCancelPayload, AnnouncementModel, toAnnouncementModel } from './announcement.model.js';
import { AnnouncementsService } from './announcements.service.js';

@Resolver(() => TenantModel)
export class AnnouncementsResolver {
  constructor(private readonly announcements: AnnouncementsService) {}

  @Access('authenticated')
  @Mutation(() => AnnouncementCancelPayload, { description: 'Needs the permission of the work; everybody who was told of it is told so.' })
  async announcementCancel(@CurrentActor() actor: Actor, @Args('input') { announcementId }: AnnouncementCancelInput): Promise<AnnouncementCancelPayload> {
    return { announcement: toAnnouncementModel(await this.announcements.cancel(actor, announcementId)) };
  }

  @ResolveField('announcements', () => [AnnouncementModel], { description: 'Restores and resets with a start time, newest first, at most 50.' })
  async announcementsOf(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<AnnouncementModel[]> {
    return (await this.announcements.list(actor, uuid)).map(toAnnouncementModel);
  }
}
