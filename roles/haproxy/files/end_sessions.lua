-- Managed by zerospof.temporal
-- Ends the sessions of a server that is down: a client would wait for its own keepalive, which is 45 s in the SDK.
--
-- HAProxy can do that by itself (on-marked-down shutdown-sessions), but 3.0.11 then loses the sessions that were just
-- being connected: it closes neither side of them, and none of its timeouts ends them. A client that began in the
-- second in which its server vanished waited for ever. So sessions are ended when the last attempt to connect is over.

local INTERVAL_MS = 200
local MARGIN_MS = 100
local UNIT_MS = {us = 0.001, ms = 1, [""] = 1, s = 1000, m = 60000, h = 3600000, d = 86400000}

-- The configuration tells how long an attempt to connect may take, as HAProxy writes it: 500ms,1s
local wait_ms = MARGIN_MS
for number, unit in os.getenv("CONNECT_TIMEOUTS"):gmatch("(%d+)(%a*)") do
  wait_ms = math.max(wait_ms, tonumber(number) * UNIT_MS[unit] + MARGIN_MS)
end

local down_since = {}

local function now_ms()
  local now = core.now()
  return now.sec * 1000 + now.usec / 1000
end

local function look(key, server)
  local stats = server:get_stats()
  local status = stats.status or ""
  if not (status:find("^DOWN") or status:find("^MAINT")) then
    down_since[key] = nil
    return
  end
  down_since[key] = down_since[key] or now_ms()
  if now_ms() - down_since[key] >= wait_ms and (stats.scur or 0) > 0 then
    server:shut_sess()
  end
end

core.register_task(function()
  while true do
    for proxy_name, proxy in pairs(core.backends) do
      for server_name, server in pairs(proxy.servers) do
        look(proxy_name .. "/" .. server_name, server)
      end
    end
    core.msleep(INTERVAL_MS)
  end
end)
