import { Field, ObjectType } from '@nestjs/graphql';
import { Paginated } from '../platform/graphql/connection.js';
import type { AlertEntity } from './alert.entity.js';
import { AlertEvent, alertEvents, AlertSeverity } from './alert-event.js';

@ObjectType('Alert', { description: 'Something that people have to be told.' })
export class AlertModel {
  @Field(() => AlertEvent)
  event!: AlertEvent;

  @Field(() => AlertSeverity)
  severity!: AlertSeverity;

  @Field(() => String)
  title!: string;

  @Field(() => String)
  text!: string;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date, { nullable: true, description: 'When the condition was over; null while it lasts, and for what merely happened.' })
  resolvedAt!: Date | null;
}

@ObjectType()
export class AlertConnection extends Paginated('Alert', () => AlertModel) {}

export function toAlertModel({ event, severity, text, createdAt, resolvedAt }: AlertEntity): AlertModel {
  return { event, severity, title: alertEvents[event].title, text, createdAt, resolvedAt };
}
