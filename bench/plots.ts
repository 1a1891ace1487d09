// Pictures of a result, one for each place: how many times as fast svsfs is as each rival, by row.

import * as echarts from 'echarts'
import { RIVALS, ratioIn, type Shown } from './publish.ts'
import { placeWords } from './results.ts'

const WIDTH = 900
const ROW_HEIGHT = 26
const COLOURS: Readonly<Record<(typeof RIVALS)[number], string>> = {
  'fuse-overlayfs': '#2a6f97',
  'kernel overlayfs': '#c9772b',
}

/** SVG texts by name of the place. */
export function plots({ results }: Shown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(results.cells).flatMap(([place, table]) => {
      const rows = Object.keys(table).filter((row) => ratioIn(table, row, RIVALS[0]) !== null)
      if (rows.length === 0) return []
      const series = RIVALS.map((rival) => ({
        rival,
        ratios: rows.map((row) => ratioIn(table, row, rival)?.middle ?? null),
      }))
      return [[place.replaceAll(' ', '-'), bars(placeWords(place, results.disks), rows, series)]]
    }),
  )
}

/** Powers of ten between which all ratios lie: one that is left out would not be seen. */
function decadesAround(series: readonly { ratios: (number | null)[] }[]) {
  const logs = series
    .flatMap(({ ratios }) => ratios)
    .filter((ratio) => ratio !== null)
    .map(Math.log10)
  return {
    min: 10 ** Math.floor(Math.min(-1, ...logs)),
    max: 10 ** Math.ceil(Math.max(1, ...logs)),
  }
}

function bars(
  title: string,
  rows: readonly string[],
  series: readonly { rival: (typeof RIVALS)[number]; ratios: (number | null)[] }[],
): string {
  const height = 110 + rows.length * ROW_HEIGHT
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: `svsfs, times as fast (right of 1: svsfs is ahead)`, subtext: title, left: 10 },
    legend: { right: 10, top: 10, itemGap: 30, data: series.map(({ rival }) => rival) },
    grid: { left: 170, right: 40, top: 70, bottom: 30 },
    xAxis: { type: 'log', ...decadesAround(series), axisLabel: { formatter: '{value}×' } },
    yAxis: {
      type: 'category',
      data: [...rows],
      inverse: true,
      axisTick: { show: false },
      splitLine: { show: true, lineStyle: { color: '#f0f0f0' } },
    },
    series: series.map(({ rival, ratios }, i) => ({
      name: rival,
      type: 'scatter',
      symbolSize: 9,
      itemStyle: { color: COLOURS[rival] },
      data: ratios.map((ratio, row) => [ratio ?? '-', row]),
      ...(i === 0
        ? {
            markLine: {
              symbol: 'none',
              silent: true,
              label: { show: false },
              lineStyle: { color: '#333' },
              data: [{ xAxis: 1 }],
            },
          }
        : {}),
    })),
  })
  const picture = chart.renderToSVGString()
  chart.dispose()
  return picture
}
