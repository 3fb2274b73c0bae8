import { Field, ObjectType, registerEnumType } from '@nestjs/graphql';

export const HelpTopic = {
  OVERVIEW: 'OVERVIEW', BACKUPS: 'BACKUPS', SCHEDULES: 'SCHEDULES', STORAGE: 'STORAGE', ENCRYPTION: 'ENCRYPTION', RESTORE: 'RESTORE', UPLOADS: 'UPLOADS', RESET: 'RESET',
  CRON_KEY: 'CRON_KEY', EXPORTS: 'EXPORTS', IMPORTS: 'IMPORTS', TROUBLESHOOTING: 'TROUBLESHOOTING', SUPPORT: 'SUPPORT',
} as const;
export type HelpTopic = keyof typeof HelpTopic;
registerEnumType(HelpTopic, { name: 'HelpTopic' });

export const HelpKind = { TIP: 'TIP', WARNING: 'WARNING', CHECKLIST: 'CHECKLIST' } as const;
export type HelpKind = keyof typeof HelpKind;
registerEnumType(HelpKind, { name: 'HelpKind' });

@ObjectType('HelpText', { description: 'A warning, a checklist or a tip, in English.' })
export class HelpTextModel {
  @Field(() => String, { description: 'Stays the same while the title does: for translations and for "do not show again".' })
  id!: string;

  @Field(() => HelpKind)
  kind!: HelpKind;

  @Field(() => String)
  title!: string;

  @Field(() => String, { description: 'Markdown, without the list; may be empty.' })
  text!: string;

  @Field(() => [String], { description: 'The entries of its list, Markdown; often none.' })
  items!: readonly string[];
}
