// What a dashboard of contrib/grafana may be, by the types that Grafana publishes of dashboards and of each kind of panel.
import type { Dashboard, Panel } from '@grafana/schema';
import type { Options as Bars, FieldConfig as BarFields } from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as Table, FieldConfig as TableFields } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as Series, FieldConfig as SeriesFields } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// A file has the values of enumerations, and no default needs to be there.
type Json<T> = T extends string ? `${T}` : T extends (infer E)[] ? Json<E>[] : T extends object ? { [K in keyof T]?: Json<T[K]> } : T | null;

interface Query {
  refId: string;
  datasource: { type: 'grafana-postgresql-datasource'; uid: '${datasource}' };
  format: 'table' | 'time_series';
  rawQuery: true;
  editorMode: 'code';
  rawSql: string;
}

type Of<Type, Options, Fields> = Json<Omit<Panel<Options, Fields>, 'type' | 'options' | 'targets'>> & {
  type: Type;
  id: number;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  options: Json<Options>;
  targets: [Query];
};

export type File = Json<Omit<Dashboard, 'panels'>> & {
  uid: string;
  title: string;
  schemaVersion: number;
  panels: (Of<'stat', Stat, object> | Of<'timeseries', Series, SeriesFields> | Of<'barchart', Bars, BarFields> | Of<'table', Table, TableFields>)[];
};
