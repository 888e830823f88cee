# Julia's Distributed, with the standard library alone: julia julia.jl PART WORKERS QUICK
# Prints one line of JSON, like the other scripts. Values are the medians that measure.py takes.
const BEGIN = time_ns()
const PART, N, QUICK = ARGS[1], parse(Int, ARGS[2]), ARGS[3] == "true"
const CALLS, ITEMS, PAUSE, ENOUGH = 5000, 10_000_000, 0.002, 6.0

PART == "ready" && (using Distributed; sleep(1.0))
const START = PART == "ready" ? time_ns() : BEGIN
using Distributed
addprocs(N)
foreach(p -> remotecall_fetch(identity, p, 1), workers())
const STARTED = (time_ns() - START) / 1e6

const values = Dict{String,Float64}()
const errors = Dict{String,String}()

middle(v) = sort(v)[length(v) ÷ 2 + 1]
at(v, percent) = sort(v)[min(length(v), length(v) * percent ÷ 100 + 1)]

function row(measure, keys...)
    try
        for (key, value) in zip(keys, measure())
            values[key] = value
        end
    catch error
        errors[first(keys)] = first(sprint(showerror, error), 300)
    end
end

"Microseconds of n single calls, fewer when the time is up."
function times(one, n)
    taken = Float64[]
    finish = time() + (QUICK ? ENOUGH / 3 : ENOUGH)
    for i in 1:n
        push!(taken, one(i))
        time() > finish && break
    end
    taken
end

function calls(f, target, n; pause = 0.0)
    function one(i)
        pause > 0 && sleep(pause)
        worker = target(i)
        begun = time_ns()
        remotecall_fetch(f, worker, i)
        (time_ns() - begun) / 1e3
    end
    n = QUICK ? n ÷ 4 : n
    times(one, n ÷ 10 + 20)
    taken = times(one, n)
    (at(taken, 50), at(taken, 99))
end

"Median seconds of n runs after a first one; fewer if they are slow."
function repeated(run, n)
    once = @elapsed run()
    once > 2 && return once
    middle([(@elapsed run()) for _ in 1:n])
end

function measure_rows()
    @everywhere noop(x) = x
    @everywhere len(a) = length(a)
    @everywhere function add_one(a)
        a .+= 1
        length(a)
    end
    @everywhere const held = Ref{Vector{Float64}}()
    @everywhere function make(n)
        held[] = rand(n)
        true
    end
    @everywhere get_held() = held[]
    @everywhere pull(p) = length(remotecall_fetch(get_held, p))
    @everywhere function pss()
        for line in eachline("/proc/self/smaps_rollup")
            startswith(line, "Pss:") && return parse(Int, split(line)[2]) / 1024
        end
        NaN
    end
    @eval Main measure_defined()
end

function measure_defined()
    w = workers()
    one, turn = i -> w[1], i -> w[i % N + 1]
    row(() -> calls(noop, one, 3000), "hot_p50", "hot_p99")
    row(() -> calls(noop, turn, 3000), "turn_p50", "turn_p99")
    row(() -> calls(noop, one, 600; pause = PAUSE), "pause_p50", "pause_p99")
    row(() -> (sum(remotecall_fetch(pss, p) for p in w) / N,), "pss")
    # All functions of a script are of Main here: no other kind of call exists.
    row(() -> (calls(noop, one, 2000)[1],), "main_p50")
    statement() = @eval Main @everywhere nothing
    row("everywhere") do
        once(i) = (@elapsed statement()) * 1e6
        times(once, 10)
        (at(times(once, QUICK ? 100 : 300), 50),)
    end
    row("channel") do
        c = RemoteChannel(() -> Channel{Int}(10), w[1])
        function once(i)
            begun = time_ns()
            put!(c, i)
            take!(c)
            (time_ns() - begun) / 1e3
        end
        times(once, 200)
        (at(times(once, QUICK ? 500 : 2000), 50),)
    end
    flight(n, k) = foreach(fetch, [remotecall(noop, w[i % k + 1], i) for i in 1:n])
    row(() -> (flight(200, 1); (CALLS / repeated(() -> flight(CALLS, 1), 3),)), "pipe_1")
    row(() -> (flight(200, N); (CALLS / repeated(() -> flight(CALLS, N), 3),)), "pipe_4")
    row(() -> (pmap(noop, 1:200); (CALLS / repeated(() -> pmap(noop, 1:CALLS), 3),)), "map_1")
    row("map_best") do
        best = Inf
        for size in (50, 125, 250, 625, 1250)
            pmap(noop, 1:200; batch_size = size)
            best = min(best, repeated(() -> pmap(noop, 1:CALLS; batch_size = size), 3))
        end
        (CALLS / best,)
    end
    a = rand(ITEMS)
    gigabytes = sizeof(a) / 1e9
    n = QUICK ? 3 : 7
    row(() -> (gigabytes / repeated(() -> remotecall_fetch(len, w[1], a), n),), "argument")
    foreach(p -> remotecall_fetch(make, p, ITEMS), w[1:1])
    row(() -> (gigabytes / repeated(() -> remotecall_fetch(get_held, w[1]), n),), "result")
    row(() -> (gigabytes / repeated(() -> remotecall_fetch(pull, w[2], w[1]), n),), "between")
    all(f) = @sync for p in w
        @async remotecall_fetch(f, p, a)
    end
    row(() -> (1e3 * repeated(() -> all(len), n),), "broadcast")
    row(() -> (1e3 * repeated(() -> all(add_one), n),), "broadcast_write")
end

if PART == "ready"
    values["start_ready"] = STARTED
    julia = joinpath(Sys.BINDIR, "julia")
    took(code) = middle([(@elapsed run(`$julia --startup-file=no -e $code`)) for _ in 1:(QUICK ? 3 : 5)])
    values["import"] = 1e3 * (took("using Distributed") - took(""))
    rmprocs(workers())
else
    values["start_cold"] = STARTED
    measure_rows()
    values["shutdown"] = 1e3 * @elapsed rmprocs(workers())
end

quoted(text) = "\"" * replace(replace(replace(text, "\\" => "\\\\"), "\"" => "\\\""), "\n" => " ") * "\""
pairs_of(dict, show_value) = join([quoted(key) * ": " * show_value(value) for (key, value) in dict], ", ")
println("\n{\"system\": \"julia\", \"values\": {", pairs_of(values, string), "}, \"errors\": {",
    pairs_of(errors, quoted), "}, \"notes\": {\"version\": ", quoted(string(VERSION)), "}}")
