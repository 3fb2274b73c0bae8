import { Args, Query, Resolver } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import { GuidanceService } from './guidance.service.js';
import { HelpTextModel, HelpTopic } from './help-text.model.js';

@Resolver(() => HelpTextModel)
export class GuidanceResolver {
  constructor(private readonly guidance: GuidanceService) {}

  @Access('authenticated')
  @Query(() => [HelpTextModel], { name: 'guidance', description: 'What people should read before they act, for a frontend to show beside its buttons.' })
  async guidanceOf(@Args('topic', { type: () => HelpTopic }) topic: HelpTopic): Promise<HelpTextModel[]> {
    return [...(await this.guidance.about(topic))];
  }
}
