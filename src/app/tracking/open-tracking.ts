// Opens tracking as a service of the process that owns the data folder.
import { createTracking, type TrackingService } from '../../tracking/index.js'
import type { ServiceContext } from '../service-context.js'

export function openTracking({ sql, platform }: ServiceContext): Promise<TrackingService> {
  return createTracking({ sql, platform })
}
