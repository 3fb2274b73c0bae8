import { Field, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsEnum, IsInt, IsOptional, Max, Min } from 'class-validator';
import { z } from 'zod';
import { AppError } from '#errors';

export const RetentionMode = { COUNT: 'COUNT', AGE: 'AGE', GFS: 'GFS', BY_FREQUENCY: 'BY_FREQUENCY', FOREVER: 'FOREVER' } as const;
export type RetentionMode = keyof typeof RetentionMode;
registerEnumType(RetentionMode, { name: 'RetentionMode' });

const longestDays = 365;
const mostKept = 1_000;
const kept = z.int().min(0).max(mostKept).nullable().default(null);

const shape = z.strictObject({
  mode: z.enum(RetentionMode),
  count: z.int().min(1).max(mostKept).nullable().default(null),
  days: z.int().min(1).max(longestDays).nullable().default(null),
  hourly: kept,
  daily: kept,
  weekly: kept,
  monthly: kept,
  yearly: kept,
});

/** How long the backups of a schedule are kept. What the mode does not use is null. */
export const retentionRule = shape.superRefine(({ mode, count, days, hourly, daily, weekly, monthly, yearly }, context) => {
  const problem = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
  if ((count !== null) !== (mode === 'COUNT')) problem('count', 'COUNT needs it, the other modes have none');
  if ((days !== null) !== (mode === 'AGE')) problem('days', 'AGE needs it, the other modes have none');
  const tiers = [hourly, daily, weekly, monthly, yearly];
  if (mode === 'GFS' && !tiers.some((tier) => tier !== null && tier > 0)) problem('daily', 'GFS needs at least one of hourly, daily, weekly, monthly and yearly');
  if (mode !== 'GFS' && tiers.some((tier) => tier !== null)) problem('daily', 'hourly, daily, weekly, monthly and yearly are for GFS alone');
});
export type RetentionRule = z.output<typeof retentionRule>;

/** @throws AppError BAD_USER_INPUT naming what is wrong below `field` */
export function parseRetentionRule(given: unknown, field: string): RetentionRule {
  const parsed = retentionRule.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.map(String) ?? [];
  throw new AppError('BAD_USER_INPUT', `${[field, ...path].join('.')}: ${issue?.message ?? 'is not valid'}`, { field: [field, ...path] });
}

@ObjectType('RetentionRule', { description: 'How long backups are kept. What the mode does not use is null.' })
export class RetentionRuleModel {
  @Field(() => RetentionMode)
  mode!: RetentionMode;

  @Field(() => Int, { nullable: true, description: 'COUNT: the newest so many.' })
  count!: number | null;

  @Field(() => Int, { nullable: true, description: 'AGE: for so many days, 1 to 365.' })
  days!: number | null;

  @Field(() => Int, { nullable: true, description: 'GFS, as the next four: the last one of each of so many hours.' })
  hourly!: number | null;

  @Field(() => Int, { nullable: true })
  daily!: number | null;

  @Field(() => Int, { nullable: true })
  weekly!: number | null;

  @Field(() => Int, { nullable: true })
  monthly!: number | null;

  @Field(() => Int, { nullable: true })
  yearly!: number | null;
}

function Kept(smallest: number, largest: number): PropertyDecorator {
  return (target, name) => {
    for (const decorate of [Field(() => Int, { nullable: true }), IsOptional(), IsInt(), Min(smallest), Max(largest)]) decorate(target, name);
  };
}

@InputType()
export class RetentionRuleInput {
  @Field(() => RetentionMode)
  @IsEnum(RetentionMode)
  mode!: RetentionMode;

  @Kept(1, mostKept)
  count?: number | null;

  @Kept(1, longestDays)
  days?: number | null;

  @Kept(0, mostKept)
  hourly?: number | null;

  @Kept(0, mostKept)
  daily?: number | null;

  @Kept(0, mostKept)
  weekly?: number | null;

  @Kept(0, mostKept)
  monthly?: number | null;

  @Kept(0, mostKept)
  yearly?: number | null;
}
