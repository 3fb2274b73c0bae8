import { Field, Int, ObjectType } from '@nestjs/graphql';
import { ByteCount, Count, type Int64 } from './scalars.js';

@ObjectType('CollectionStat', { description: 'A collection, view or time series and what it holds.' })
export class CollectionStatModel {
  @Field(() => String)
  name!: string;

  @Field(() => String, { description: 'collection, view or timeseries.' })
  kind!: string;

  @Field(() => Count, { description: 'Of a time series: its buckets.' })
  documents!: Int64;

  @Field(() => ByteCount)
  bytes!: Int64;

  @Field(() => Int)
  indexes!: number;
}
