(* Section 2.3: "mu(D) (m-1) < 1 ensures uniqueness via greedy methods" is false (claim P3), with
   nonnegative codes too: D = [(+-3/5, 0, 4/5), (0, +-3/5, 4/5)], m = 2, mu = 16/25, has
   d_1 + d_2 = d_3 + d_4. What holds is mu(D) (2m-1) < 1, for any d, K, m. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances.
Import ListNotations.
Open Scope R_scope.

Definition coherence_at_most (d K : nat) (D : mat) (mu : R) : Prop :=
  0 <= mu /\ forall j k, (j < K)%nat -> (k < K)%nat -> j <> k ->
  Rabs (dot d (col D j) (col D k)) <= mu.

(* Two m-sparse codes of one point are the same; and so for nonnegative codes only. *)
Definition unique_representations (d K m : nat) (D : mat) : Prop :=
  forall y y', sparse K m y -> sparse K m y' ->
  (forall i, (i < d)%nat -> sum K (fun j => D i j * y j) = sum K (fun j => D i j * y' j)) ->
  forall j, (j < K)%nat -> y j = y' j.
Definition unique_nonnegative_representations (d K m : nat) (D : mat) : Prop :=
  forall y y', sparse K m y -> sparse K m y' ->
  (forall j, (j < K)%nat -> 0 <= y j) -> (forall j, (j < K)%nat -> 0 <= y' j) ->
  (forall i, (i < d)%nat -> sum K (fun j => D i j * y j) = sum K (fun j => D i j * y' j)) ->
  forall j, (j < K)%nat -> y j = y' j.

Definition greedy_uniqueness : Prop := forall d K m D mu, (1 <= m)%nat ->
  unit_norm d K D -> coherence_at_most d K D mu -> mu * (INR m - 1) < 1 ->
  unique_representations d K m D.
Definition greedy_uniqueness_nonnegative : Prop := forall d K m D mu, (1 <= m)%nat ->
  unit_norm d K D -> coherence_at_most d K D mu -> mu * (INR m - 1) < 1 ->
  unique_nonnegative_representations d K m D.

Definition crossing : mat := columns [[3/5; 0; 4/5]; [-3/5; 0; 4/5]; [0; 3/5; 4/5]; [0; -3/5; 4/5]].

Lemma crossing_coherence : coherence_at_most 3 4 crossing (16/25).
Proof.
  split; [lra|]. intros j k Hj Hk N.
  each j; each k; try lia; numbers; destruct (Rcase_abs _); lra.
Qed.

Theorem greedy_uniqueness_is_false_for_nonnegative_codes : ~ greedy_uniqueness_nonnegative.
Proof.
  intros H. pose proof (H 3%nat 4%nat 2%nat crossing (16/25) ltac:(lia)) as U.
  specialize (U ltac:(intros j Hj; each j; numbers; lra) crossing_coherence ltac:(simpl; lra)
    (entries [1; 1; 0; 0]) (entries [0; 0; 1; 1])).
  enough (1 = 0) by lra. apply (U) with (j := 0%nat); try lia.
  - exists [0; 1]%nat. split; auto. intros j Hj; each j; numbers; auto; lra.
  - exists [2; 3]%nat. split; auto. intros j Hj; each j; numbers; auto; lra.
  - intros j Hj; each j; numbers; lra.
  - intros j Hj; each j; numbers; lra.
  - intros i Hi; each i; numbers; lra.
Qed.

Theorem greedy_uniqueness_is_false : ~ greedy_uniqueness.
Proof.
  intros H. apply greedy_uniqueness_is_false_for_nonnegative_codes.
  intros d K m D mu Hm U C B y y' S S' _ _. now apply (H d K m D mu Hm U C B).
Qed.

(* A count is a sum of ones. *)
Lemma sum_count K (P : nat -> bool) :
  sum K (fun k => if P k then 1 else 0) = INR (length (filter P (seq 0 K))).
Proof.
  induction K as [|K IH]; [reflexivity|].
  rewrite seq_S, filter_app, app_length, plus_INR, <- IH. simpl. destruct (P K); simpl; ring.
Qed.

Lemma dot_with_sum d K D j c :
  dot d (col D j) (fun i => sum K (fun k => D i k * c k))
  = sum K (fun k => c k * dot d (col D j) (col D k)).
Proof.
  unfold dot. rewrite (sum_ext d _ (fun i => sum K (fun k => c k * (D i j * D i k)))).
  - rewrite sum_swap. apply sum_ext; intros k _. unfold col. now rewrite sum_scal.
  - intros i _. unfold col. rewrite <- sum_scal. apply sum_ext; intros; ring.
Qed.

Lemma sum_abs_le n f : Rabs (sum n f) <= sum n (fun i => Rabs (f i)).
Proof.
  induction n as [|n IH]; simpl; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(* A null vector of at most r nonzeros is 0 if mu (r - 1) < 1: its Gram matrix is dominated by its
   diagonal. *)
Lemma spark_from_coherence d K D mu r :
  unit_norm d K D -> coherence_at_most d K D mu -> (1 <= r)%nat -> mu * (INR r - 1) < 1 ->
  spark_above d K D r.
Proof.
  intros U [Mu C] Hr B c [s [L Supp]] E j0 Hj0.
  destruct (best_slot K (fun j => Rabs (c j))) as [j [Hj M]]; [lia|].
  destruct (Req_EM_T (c j) 0) as [Z|Z].
  { pose proof (M j0 Hj0) as M0. rewrite Z, Rabs_R0 in M0. pose proof (Rabs_pos (c j0)).
    destruct (Req_EM_T (c j0) 0) as [|N]; auto. pose proof (Rabs_pos_lt _ N). lra. }
  exfalso. pose proof (Rabs_pos_lt _ Z) as Pos.
  set (other := fun k => if Req_EM_T (c k) 0 then false else negb (k =? j)%nat).
  assert (Sum : c j = - sum K (fun k => if (k =? j)%nat then 0 else c k * dot d (col D j)
    (col D k))).
  { assert (T : sum K (fun k => c k * dot d (col D j) (col D k)) = 0).
    { rewrite <- dot_with_sum. apply sum_zero; intros i Hi. rewrite E; auto. ring. }
    rewrite (sum_ext K _ (fun k => (if (k =? j)%nat then 0 else c k * dot d (col D j) (col D k))
      + (if (k =? j)%nat then c k * dot d (col D j) (col D k) else 0))) in T
      by (intros; destruct (_ =? _)%nat; ring).
    rewrite sum_plus, (sum_single K j (fun k => if (k =? j)%nat then _ else 0)) in T; auto.
    - rewrite Nat.eqb_refl in T. fold (norm2 d (col D j)) in T. rewrite (U j Hj) in T. lra.
    - intros k _ N. now apply Nat.eqb_neq in N as ->. }
  assert (Few : INR (length (filter other (seq 0 K))) <= INR r - 1).
  { assert (S (length (filter other (seq 0 K))) <= r)%nat as F.
    { eapply Nat.le_trans; [|exact L].
      change (length (j :: filter other (seq 0 K)) <= length s)%nat. apply NoDup_incl_length.
      - constructor; [|apply NoDup_filter, seq_NoDup]. rewrite filter_In. unfold other.
        rewrite Nat.eqb_refl. destruct (Req_EM_T _ _); simpl; intuition congruence.
      - intros k [<-|Hk]; [now apply Supp|]. apply filter_In in Hk as [Hk O]. apply in_seq in Hk.
        apply Supp; [lia|]. unfold other in O. destruct (Req_EM_T (c k) 0); congruence. }
    apply le_INR in F. rewrite S_INR in F. lra. }
  assert (Rabs (c j) <= Rabs (c j) * mu * (INR r - 1)).
  { rewrite Sum at 1. rewrite Rabs_Ropp. eapply Rle_trans; [apply sum_abs_le|].
    apply Rle_trans with (sum K (fun k => Rabs (c j) * mu * (if other k then 1 else 0))).
    - apply sum_le; intros k Hk. unfold other. destruct (Nat.eqb_spec k j) as [->|N].
      + rewrite Rabs_R0. destruct (Req_EM_T _ _); simpl; lra.
      + destruct (Req_EM_T (c k) 0) as [Zk|Zk].
        * rewrite Zk, Rmult_0_l, Rabs_R0. lra.
        * simpl. rewrite Rabs_mult, Rmult_1_r.
          apply Rmult_le_compat; auto using Rabs_pos.
    - rewrite sum_scal, sum_count. apply Rmult_le_compat_l; auto.
      apply Rmult_le_pos; lra. }
  nra.
Qed.

Theorem uniqueness_from_coherence d K m D mu : (1 <= m)%nat ->
  unit_norm d K D -> coherence_at_most d K D mu -> mu * (2 * INR m - 1) < 1 ->
  unique_representations d K m D.
Proof.
  intros Hm U C B y y' S S' E. apply (unique_codes d K m D); auto.
  apply (spark_from_coherence d K D mu); auto; [lia|].
  replace (INR (2 * m)) with (2 * INR m) by (rewrite mult_INR; simpl; ring). exact B.
Qed.
